"""A trace sampled elsewhere as a posterior of ours: its model, its labels, and whether it fits.

Old traces number genes and cell lines as the codes of their own table did, and do not keep the
table. Only a trace that is of the measurements of the design, under labels that agree with them, is
let in. Reading the file is `tasks.read_trace`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import ValidationError

from model.design import ScreenDesign
from model.labels import is_single
from model.score import scores
from schemas.parameters import FitParameters, ModelName, Priors
from schemas.posterior import CONTRACTS
from schemas.trace import STATISTICS, Trace, TraceError, TraceOrigin

SAME_LOGFC = 1e-6
"""Log fold changes this near, log2, are the same; tables are published with six places."""
MOST_SHIFT = 0.1
"""Conditional posterior SDs by which draws may be off: labels that are wrong are off by many."""
MOST_Z = 5.0
"""... or, where there are few draws, Monte Carlo standard errors."""
_MODELS: tuple[ModelName, ...] = get_args(ModelName)


def model_of(posterior: xr.Dataset) -> ModelName:
    """Return the model whose variables the trace has; raise TraceError naming what lacks."""
    lacking = {name: set(CONTRACTS[name].variables) - set(posterior.data_vars) for name in _MODELS}
    complete = [name for name in _MODELS if not lacking[name]]
    if complete:
        # The variables of the simpler models are among those of the richer ones.
        return max(complete, key=lambda name: len(CONTRACTS[name].variables))
    nearest = min(_MODELS, key=lambda name: len(lacking[name]))
    raise TraceError(
        f"expected the variables of one of the models {', '.join(_MODELS)}, got "
        f"{', '.join(sorted(map(str, posterior.data_vars))) or 'none'}; {nearest}, the nearest, "
        f"also needs {', '.join(sorted(lacking[nearest]))}; rename the variables, or fit the "
        "dataset anew"
    )


def parameters_of(trace: Trace, origin: TraceOrigin, parameters: FitParameters) -> FitParameters:
    """Return the parameters of an imported fit: model and draws of the trace, the rest as given.

    Raises TraceError for a trace that is too short to be judged, or out of other bounds of a fit.
    """
    sizes = trace.posterior.sizes
    told: dict[str, Any] = {
        "chains": sizes.get("chain", 0),
        "draws": sizes.get("draw", 0),
        "sampler": "pymc",
    }
    if origin.tune:
        told["tune"] = origin.tune
    settings = parameters.model_dump(mode="json")
    settings |= {"model": model_of(trace.posterior), "engine": "nuts"}
    settings["sampling"] |= told
    try:
        return FitParameters.model_validate(settings)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}, got {each['input']!r}"
            for each in error.errors()
        )
        raise TraceError(f"expected a trace that can be judged, {problems}; sample anew") from None


def imported(
    trace: Trace, origin: TraceOrigin, design: ScreenDesign, parameters: FitParameters
) -> xr.DataTree:
    """Return the trace as an engine would have: groups `posterior` and `sample_stats`.

    Genes, cell lines and guides are labelled and in the order of `design`. Where the trace has no
    labels, its codes are those of the sorted labels or of their first appearance among its own
    rows, whichever agrees with the measurements. `parameters` are those of `parameters_of`. The
    attribute `imported_from` says which library sampled it.

    Raises:
        TraceError: the trace is not of the measurements of `design`, has other genes, lines or
            guides, has draws that are no numbers, or is not of the posterior of the model under
            the priors of `parameters` (its score is not zero, `model.score`).
    """
    model = parameters.model
    draws = _draws(trace.posterior, model, design)
    rows = _rows(trace.observed, design)
    posterior = min(
        _labelled(trace.posterior, draws, model, rows, design),
        key=lambda candidate: _residual_ss(candidate, design),
    )
    _require_zero_score(posterior, design, parameters.priors)
    _require_statistics(trace)
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": xr.Dataset(
                {
                    name: (("chain", "draw"), trace.sample_stats[name].to_numpy())
                    for name in STATISTICS
                },
                coords={name: posterior[name] for name in ("chain", "draw")},
            ),
        }
    )
    tree.attrs = {"engine": "nuts", "imported_from": origin.imported_from}
    return tree


def _draws(posterior: xr.Dataset, model: ModelName, design: ScreenDesign) -> dict[str, np.ndarray]:
    """Return the draws of every variable of the model, (chain, draw) or (chain, draw, codes)."""
    sizes = {dim: len(labels) for dim, labels in design.labels.items()}
    found = {}
    for name, dims in CONTRACTS[model].variables.items():
        variable = posterior[name]
        expected = tuple(sizes[dim] for dim in dims)
        if variable.dims[:2] != ("chain", "draw") or variable.ndim != 2 + len(dims):
            raise TraceError(
                f"expected {name} by {' and '.join(('chain', 'draw', *dims))}, got the dims "
                f"{', '.join(map(str, variable.dims))}; the trace is of another model"
            )
        if variable.shape[2:] != expected:
            raise TraceError(
                f"expected {name} by the {_words(dims)} of the dataset after its preparation, "
                f"{', '.join(map(str, expected))}, got {', '.join(map(str, variable.shape[2:]))}; "
                "name the dataset that was sampled, and with --genes, --cell-lines, --lineages the "
                "part of it"
            )
        values = variable.to_numpy().astype(np.float64)
        bad = ~np.isfinite(values) | (name.startswith("sigma") & (values <= 0))
        if bad.any():
            raise TraceError(
                f"expected {'positive' if name.startswith('sigma') else 'finite'} draws, got "
                f"{values[bad][0]} in {name} ({bad.sum():,} of {bad.size:,} values); sample again"
            )
        found[name] = values
    return found


def _words(dims: Iterable[str]) -> str:
    return " and ".join(f"{dim.replace('_', ' ')}s" for dim in dims)


def _rows(observed: np.ndarray, design: ScreenDesign) -> pd.DataFrame:
    """Return gene, cell_line and guide (codes of the design) of each row of the trace.

    -1 where rows of several have the same value, so that nothing tells which is which.
    """
    kept = design.measurements
    if kept is None:
        raise TraceError(
            f"expected a screen whose single measurements are kept, got {design.n_measurements:,} "
            "of them; raise preparation.max_measurements_kept (--parameters)"
        )
    mend = "name the dataset, and the part of it, that was sampled"
    if observed.size != len(kept):
        raise TraceError(
            f"expected the {len(kept):,} measurements of the dataset as observed data, got "
            f"{observed.size:,}; {mend}"
        )
    measured = kept["logfc"].to_numpy()
    theirs, ours = np.argsort(observed, kind="stable"), np.argsort(measured, kind="stable")
    apart = ~(np.abs(observed[theirs] - measured[ours]) <= SAME_LOGFC)
    if apart.any():
        first = np.flatnonzero(apart)[0]
        raise TraceError(
            f"expected the measurements of the dataset as observed data, {apart.sum():,} of "
            f"{apart.size:,} are others, such as {observed[theirs][first]:.6g} where the dataset "
            f"has {measured[ours][first]:.6g}; {mend}"
        )
    alike = np.cumsum(np.diff(measured[ours], prepend=-np.inf) > 2 * SAME_LOGFC)
    rows = {}
    for column in design.labels:
        code = kept[column].to_numpy(np.int64)[ours]
        by_value = pd.Series(code).groupby(alike)
        code[by_value.transform("nunique") > 1] = -1
        rows[column] = np.empty_like(code)
        rows[column][theirs] = code
    return pd.DataFrame(rows)


def _labelled(
    posterior: xr.Dataset,
    draws: dict[str, np.ndarray],
    model: ModelName,
    rows: pd.DataFrame,
    design: ScreenDesign,
) -> Iterator[xr.Dataset]:
    """Yield the posterior under every order its codes may have."""
    labels = design.labels
    groups = {name: dims[0] for name, dims in CONTRACTS[model].variables.items() if dims}
    orders = {dim: _orders_of_codes(rows[dim], labels[dim]) for dim in set(groups.values())}
    own = {name: _own_order(posterior[name], labels[dim], dim) for name, dim in groups.items()}
    for chosen in itertools.product(*orders.values()):
        by_dim = dict(zip(orders, chosen, strict=True))
        variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        for name, values in draws.items():
            if name not in groups:
                variables[name] = (("chain", "draw"), values)
                continue
            given, dim = own[name], groups[name]
            position = np.argsort(by_dim[dim] if given is None else given)
            variables[name] = (("chain", "draw", dim), values[..., position])
        yield xr.Dataset(
            variables,
            coords={
                **{name: np.arange(posterior.sizes[name]) for name in ("chain", "draw")},
                **{dim: list(labels[dim]) for dim in orders},
            },
        )


def _orders_of_codes(codes: pd.Series, labels: Sequence[str]) -> list[np.ndarray]:
    """Return the orders of labels that codes may follow: sorted, and of first appearance."""
    by_label = np.argsort(np.array(labels), kind="stable")
    first_seen = codes[codes >= 0].drop_duplicates().to_numpy()
    if first_seen.size < by_label.size or (first_seen == by_label).all():
        return [by_label]
    return [by_label, first_seen]


def _own_order(variable: xr.DataArray, known: Sequence[str], dim: str) -> np.ndarray | None:
    """Return the codes of the labels of a variable; genes may be named by their symbols alone.

    None where it has no labels, or numbers for labels.
    """
    own = variable.dims[2]
    if own not in variable.coords or variable[own].dtype.kind not in "OUT":
        return None
    named, labels = [str(label) for label in variable[own].to_numpy()], pd.Index(known)
    codes = labels.get_indexer(pd.Index(named))
    if (codes < 0).any() and dim == "gene":
        symbols = pd.Index([label.partition(" (")[0] for label in labels])
        codes = symbols.get_indexer(pd.Index(named)) if symbols.is_unique else codes
    if (codes < 0).any() or np.unique(codes).size < len(named):
        unknown = [name for name, code in zip(named, codes, strict=True) if code < 0]
        raise TraceError(
            f"expected as labels of the trace the {len(labels)} {_words([dim])} of the dataset, "
            f"got {', '.join(unknown[:5]) or 'one of them twice'}; name them as the dataset does"
        )
    return codes


def _residual_ss(posterior: xr.Dataset, design: ScreenDesign) -> float:
    """Sum of squared deviations of the measurements from what the posterior means expect."""
    rows = design.measurements
    assert rows is not None
    mean = {
        str(name): posterior[name].mean(("chain", "draw")).to_numpy()
        for name in posterior.data_vars
    }
    expected = mean["alpha_g"][rows["gene"]] + mean["gamma_c"][rows["cell_line"]]
    expected += mean["beta_g"][rows["gene"]] * rows["rna"].to_numpy()
    if "delta_k" in mean:
        expected += mean["delta_k"][rows["guide"]]
    return float(((rows["logfc"].to_numpy() - expected) ** 2).sum())


def _require_zero_score(posterior: xr.Dataset, design: ScreenDesign, priors: Priors) -> None:
    table = scores(posterior, design, priors)
    # Written as "not good": what is not a number is no evidence.
    off = table[~((table["shift"].abs() <= MOST_SHIFT) | (table["z"].abs() <= MOST_Z))]
    if off.empty:
        return
    worst = off.iloc[off["shift"].abs().fillna(np.inf).argmax()]
    of_data = ~is_single(off["parameter"]) | (off["parameter"] == "sigma")
    if of_data.any():
        mend = (
            "the trace and the dataset disagree about which gene, cell line or guide is which, "
            "about RNA or about the log fold change; give the labels in the trace, as coordinates "
            "of its dims, and the RNA it was sampled with"
        )
    else:
        mend = "it was sampled under other priors; give them with --priors"
    raise TraceError(
        f"expected draws of the posterior of this dataset under the priors given, {len(off)} of "
        f"{len(table)} parameters are not where the measurements and priors hold them (most of all "
        f"{worst['parameter']}, by {abs(worst['shift']):.2g} of its conditional SD); {mend}"
    )


def _require_statistics(trace: Trace) -> None:
    sizes = {name: trace.posterior.sizes[name] for name in ("chain", "draw")}
    for name in STATISTICS:
        came = {str(dim): size for dim, size in trace.sample_stats[name].sizes.items()}
        if came != sizes:
            raise TraceError(
                f"expected {name} of the sampler for the {sizes} of the posterior, got {came}; "
                "save the trace whole"
            )

"""Import of a trace sampled by another library: its model, its labels, and its validation.

Old traces number genes and cell lines by the codes of their own table, without the table. A trace
is accepted only if it was sampled from the measurements of the design and its labels agree with
them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import ValidationError

from model.diagnostics.score_check import scores
from model.likelihood.linear_predictor import linear_predictor
from model.screen.design import ScreenDesign
from schemas.formatting import setting_problems
from schemas.model_spec import MODEL_SPECS, model_spec, spec_of
from schemas.parameters import FitParameters, LinearModelName, ModelName, Priors
from schemas.posterior import is_single
from schemas.trace import STATISTICS, Trace, TraceError, TraceOrigin

SAME_LOGFC = 1e-6
"""Log fold changes with a smaller difference, log2, are equal; tables have six decimals."""
MOST_SHIFT = 0.1
"""Largest accepted shift of draws in conditional posterior SDs: wrong labels shift by many SDs."""
MOST_Z = 5.0
"""Largest accepted shift in Monte Carlo standard errors, for few draws."""
_MODELS: tuple[LinearModelName, ...] = get_args(LinearModelName)


def model_of(posterior: xr.Dataset) -> ModelName:
    """Return the model whose variables the trace has; raise TraceError naming missing ones."""
    found = set(posterior.data_vars)
    lacking = {name: set(MODEL_SPECS[name].variables) - found for name in _MODELS}
    complete = [name for name in _MODELS if not lacking[name]]
    if complete:
        # Larger models have all variables of the smaller ones.
        return max(complete, key=lambda name: len(MODEL_SPECS[name].variables))
    nearest = min(_MODELS, key=lambda name: len(lacking[name]))
    raise TraceError(
        f"expected the variables of one of the models {', '.join(_MODELS)}, got "
        f"{', '.join(sorted(map(str, posterior.data_vars))) or 'none'}; {nearest}, the closest, "
        f"also needs {', '.join(sorted(lacking[nearest]))}; rename the variables, or fit the "
        "dataset again"
    )


def parameters_of(trace: Trace, origin: TraceOrigin, parameters: FitParameters) -> FitParameters:
    """Return the parameters of an imported fit: model and draws of the trace, others as given.

    Raises TraceError for a trace that is too short or exceeds other limits of a fit.
    """
    sizes = trace.posterior.sizes
    from_trace: dict[str, Any] = {
        "chains": sizes.get("chain", 0),
        "draws": sizes.get("draw", 0),
        "sampler": "pymc",
    }
    if origin.tune:
        from_trace["tune"] = origin.tune
    settings = parameters.model_dump(mode="json")
    settings |= {"model": model_of(trace.posterior), "engine": "nuts"}
    settings["sampling"] |= from_trace
    try:
        return FitParameters.model_validate(settings)
    except ValidationError as error:
        problems = "; ".join(setting_problems(error))
        raise TraceError(f"expected a trace within the limits, {problems}; sample again") from None


def align_trace(
    trace: Trace, origin: TraceOrigin, design: ScreenDesign, parameters: FitParameters
) -> xr.DataTree:
    """Return the trace as an engine's result: groups `posterior` and `sample_stats`.

    Genes, cell lines and guides are labelled, in the order of `design`. Codes of a trace without
    labels follow the sorted labels or the first appearance among its own rows, whichever agrees
    with the measurements. `parameters` are those of `parameters_of`. The attribute `imported_from`
    names the library that sampled it.

    Raises:
        TraceError: the trace is not from the measurements of `design`, has other genes, lines or
            guides, has draws that are not finite, or is not from the posterior of the model under
            the priors of `parameters` (its score is not zero, `model.diagnostics.score_check`).
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
    for name, dims in model_spec(model, design.covariates).variables.items():
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
                "name the dataset that was sampled, and the part of it with --genes, --cell-lines, "
                "--lineages"
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

    -1 where rows of several items have the same value and cannot be distinguished.
    """
    kept = design.measurements
    if kept is None:
        raise TraceError(
            f"expected a screen whose single measurements are kept, got {design.n_measurements:,} "
            "of them; raise preparation.max_measurements_kept (--parameters)"
        )
    remedy = "name the dataset, and the part of it, that was sampled"
    if observed.size != len(kept):
        raise TraceError(
            f"expected the {len(kept):,} measurements of the dataset as observed data, got "
            f"{observed.size:,}; {remedy}"
        )
    measured = kept["logfc"].to_numpy()
    theirs, ours = np.argsort(observed, kind="stable"), np.argsort(measured, kind="stable")
    apart = ~(np.abs(observed[theirs] - measured[ours]) <= SAME_LOGFC)
    if apart.any():
        first = np.flatnonzero(apart)[0]
        raise TraceError(
            f"expected the measurements of the dataset as observed data, {apart.sum():,} of "
            f"{apart.size:,} differ, such as {observed[theirs][first]:.6g} where the dataset "
            f"has {measured[ours][first]:.6g}; {remedy}"
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
    """Yield the posterior under every possible order of its codes."""
    labels = design.labels
    groups = {
        name: dims[0]
        for name, dims in model_spec(model, design.covariates).variables.items()
        if dims
    }
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
    """Return the possible orders of codes: sorted labels, and first appearance."""
    by_label = np.argsort(np.array(labels), kind="stable")
    first_seen = codes[codes >= 0].drop_duplicates().to_numpy()
    if first_seen.size < by_label.size or (first_seen == by_label).all():
        return [by_label]
    return [by_label, first_seen]


def _own_order(variable: xr.DataArray, known: Sequence[str], dim: str) -> np.ndarray | None:
    """Return the codes of the labels of a variable; genes may have symbols as labels.

    None where it has no labels, or numbers as labels.
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
            f"got {', '.join(unknown[:5]) or 'one of them twice'}; use the names of the dataset"
        )
    return codes


def _residual_ss(posterior: xr.Dataset, design: ScreenDesign) -> float:
    """Return the sum of squared residuals of the measurements at the posterior means."""
    rows = design.measurements
    assert rows is not None
    mean = {
        str(name): posterior[name].mean(("chain", "draw")).to_numpy()
        for name in posterior.data_vars
    }
    codes = {dim: rows[dim].to_numpy() for dim in design.labels}
    covariates = design.covariates_at(codes["gene"], codes["cell_line"])
    at = SimpleNamespace(**codes, covariates=covariates)
    expected = linear_predictor(spec_of(posterior.data_vars), mean, at)
    return float(((rows["logfc"] - expected) ** 2).sum())


def _require_zero_score(posterior: xr.Dataset, design: ScreenDesign, priors: Priors) -> None:
    table = scores(posterior, design, priors)
    # Written as `not (good)`, so that NaN, which compares false, counts as bad.
    off = table[~((table["shift"].abs() <= MOST_SHIFT) | (table["z"].abs() <= MOST_Z))]
    if off.empty:
        return
    worst = off.iloc[off["shift"].abs().fillna(np.inf).argmax()]
    of_data = ~is_single(off["parameter"]) | (off["parameter"] == "sigma")
    if of_data.any():
        remedy = (
            "the trace and the dataset disagree about the order of genes, cell lines or guides, "
            "about RNA or about the log fold change; add the labels to the trace, as coordinates "
            "of its dims, and use the RNA it was sampled with"
        )
    else:
        remedy = "it was sampled under other priors; give them with --priors"
    raise TraceError(
        f"expected draws of the posterior of this dataset under the given priors, {len(off)} of "
        f"{len(table)} parameters are inconsistent with measurements and priors (most of all "
        f"{worst['parameter']}, by {abs(worst['shift']):.2g} of its conditional SD); {remedy}"
    )


def _require_statistics(trace: Trace) -> None:
    sizes = {name: trace.posterior.sizes[name] for name in ("chain", "draw")}
    for name in STATISTICS:
        found = {str(dim): size for dim, size in trace.sample_stats[name].sizes.items()}
        if found != sizes:
            raise TraceError(
                f"expected {name} of the sampler for the {sizes} of the posterior, got {found}; "
                "save the complete trace"
            )

"""Prediction of log fold changes from posterior draws, for genes of the fit and any cell line.

Logged models, which must load without ScreenBayes, carry this module, joined with those of ours it
imports (`tasks.tracking.logged_model`): these may import only numpy, scipy and the standard
library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.optimize import elementwise
from scipy.special import ndtr, ndtri

from model.likelihood.linear_predictor import linear_predictor
from model.likelihood.spreads import spreads
from schemas.model_spec import Effect, Factor, ModelSpec, spec_of

if TYPE_CHECKING:
    import xarray as xr

    from model.screen.design import ScreenDesign

NEW_LINES_SEED = 0
"""Of the scales and the noise of lines that were not fitted."""
ROWS_AT_ONCE = 2000  # bounds the memory of several arrays of rows x draws


@dataclass(frozen=True, eq=False)
class EffectDraws:
    """S posterior draws of the parameters needed for predictions of G genes and C cell lines."""

    genes: np.ndarray
    """Gene labels (G,), text."""
    cell_lines: np.ndarray
    """Labels of the fitted cell lines (C,), text."""
    parameters: dict[str, np.ndarray]
    """Draws by variable of the posterior: (S,), by gene (S, G), or by cell line (S, C + 1), the
    last for any other line. float32: draws differ by far more than its rounding."""
    covariate_means: dict[str, np.ndarray]
    """Mean subtracted from each covariate of a gene (G,), in its unit; NaN if unknown."""
    covariate_units: dict[str, np.ndarray]
    """Number by which each covariate of a gene is then divided (G,), in its unit."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by name, from which `from_arrays` restores the draws."""
        return {
            f"{field}/{name}": values
            for field, by_name in vars(self).items()
            for name, values in (by_name if isinstance(by_name, dict) else {"": by_name}).items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the draws whose `arrays` these are."""
        fields: dict[str, dict[str, np.ndarray]] = {}
        for key, values in arrays.items():
            field, _, name = key.partition("/")
            fields.setdefault(field, {})[name] = values
        return cls(**{field: one.get("", one) for field, one in fields.items()})  # type: ignore[arg-type]


def thin_draws(posterior: xr.Dataset, design: ScreenDesign, max_draws: int = 1000) -> EffectDraws:
    """Return at most `max_draws` draws of a posterior of `design`, evenly spread over all chains.

    The mean of the effects of lines, and scale and noise drawn from their distribution over lines,
    once per draw, take the place of those of a line that was not fitted.
    """
    spec = spec_of(posterior.data_vars)
    n_draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    kept = np.linspace(0, n_draws - 1, min(n_draws, max_draws)).round().astype(int)
    random = np.random.default_rng(NEW_LINES_SEED)

    def draws_of(name: str) -> np.ndarray:
        values = posterior[name].to_numpy()
        return values.reshape(n_draws, *values.shape[2:])[kept].astype(np.float32)

    items: list[Effect | Factor] = [*spec.effects, *spec.factors]
    names = (*spec.means, *spec.sds, *(one.name for one in items if one.dim != "guide"))
    parameters = {name: draws_of(name) for name in names}
    line = spec.line_effect
    others = {line.name: parameters[line.mean] if line.mean else np.zeros(len(kept), np.float32)}
    for factor in spec.factors:
        if factor.dim == "cell_line":
            standard = random.standard_normal(len(kept)).astype(np.float32)
            others[factor.name] = np.exp(parameters[factor.sd] * standard)
    for name, other in others.items():
        parameters[name] = np.column_stack([parameters[name], other])
    scaling = {slope.covariate: design.covariate_scaling(slope.covariate) for slope in spec.slopes}
    return EffectDraws(
        genes=posterior["gene"].to_numpy().astype(str),
        cell_lines=posterior["cell_line"].to_numpy().astype(str),
        parameters=parameters,
        covariate_means={name: mean for name, (mean, _) in scaling.items()},
        covariate_units={name: unit for name, (_, unit) in scaling.items()},
    )


def predict_logfc(
    draws: EffectDraws,
    gene: Sequence[str],
    cell_line: Sequence[str],
    covariates: Mapping[str, np.ndarray],
    probability: float = 0.89,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, lower and upper end (N,) of the log fold change of one measurement per row.

    `covariates` (N,) are by name, in the units of their tables: `rna` and, in a model with a slope
    on it, `copy_number`; another than RNA counts as the mean of the gene where it is unknown (NaN,
    or not given), as in the fit. Given draw s, a measurement of gene g in cell line c is

        Normal(linear predictor, sd)                        for a fitted cell line
        Normal(linear predictor, sqrt(sd^2 + sigma_gamma^2))    for any other, at gamma_c = mu_gamma

        sd = sqrt(s_c^2 (sigma_guide^2 + omega_g^2 + sigma_guide_line^2) + (sigma f_c)^2)

    for any guide, with factors that a model lacks at 1, SDs at 0, omega_g at `sigma_gene_line`, and
    gamma_c ~ Normal(mu_gamma, sigma_gamma) integrated out. The prediction is the equal mixture of
    these Normals over the draws; the interval contains `probability` of it, with equal tails, and
    is exact for these draws.

    Raises ValueError for a gene that was not fitted and for RNA that is not a finite number.
    """
    gene_at = _positions(gene, draws.genes)
    line_at = _positions(cell_line, draws.cell_lines)
    _refuse_unknown(gene, gene_at, draws.genes)
    given = {name: np.asarray(values, np.float64) for name, values in covariates.items()}
    without = np.flatnonzero(~np.isfinite(given["rna"]))
    if without.size:
        raise ValueError(
            f"expected a finite number for the RNA of every row, got none in {without.size} "
            f"(first: row {without[0]}); remove the rows without RNA"
        )
    x = {}
    for name, mean in draws.covariate_means.items():
        values = given.get(name, np.full(len(gene_at), np.nan))
        standard = (values - mean[gene_at]) / draws.covariate_units[name][gene_at]
        x[name] = np.where(np.isfinite(standard), standard, 0.0)
    spec = spec_of(draws.parameters)
    tails = np.array([(1 - probability) / 2, (1 + probability) / 2])

    mean, low, high = np.empty((3, len(gene_at)))
    for start in range(0, len(gene_at), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        of_rows = {name: values[rows] for name, values in x.items()}
        at = SimpleNamespace(
            gene=gene_at[rows],
            cell_line=line_at[rows],
            guide=np.zeros(1, np.int64),
            covariates=of_rows,
        )
        centre, sd = _components(spec, draws.parameters, at)
        mean[rows] = centre.mean(axis=1)
        low[rows], high[rows] = (mixture_quantile(centre, sd, tail) for tail in tails)
    return mean, low, high


def mixture_quantile(centre: np.ndarray, sd: np.ndarray, probability: float) -> np.ndarray:
    """Return the quantile (N,) of the equal mixture of Normal(centre, sd) over the last axis.

    `centre` and `sd` are (N, S). The root of mean_s Phi((x - centre_s) / sd_s) = probability lies
    between the smallest and the largest quantile of the components.
    """
    of_component = centre + ndtri(probability) * sd
    row = np.arange(len(centre), dtype=np.float64)

    def excess(x: np.ndarray, row: np.ndarray) -> np.ndarray:
        at = row.astype(int)
        z = (x[..., None] - centre[at]) / sd[at]
        return ndtr(z).mean(axis=-1) - probability

    bracket = (of_component.min(axis=1) - 1e-9, of_component.max(axis=1) + 1e-9)
    found = elementwise.find_root(excess, bracket, args=(row,), tolerances={"xatol": 1e-6})
    return np.asarray(found.x)


def _components(
    spec: ModelSpec, parameters: dict[str, np.ndarray], at: SimpleNamespace
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and SD (N, S) of each draw's Normal; a line at -1, the last, was not fitted."""
    centre = linear_predictor(spec, parameters, at)
    sds = spreads(spec, parameters, at)
    variance = sds.noise**2 + sds.gene_line**2 + sds.guide_line**2
    if spec.guide_effect:
        one_sd = {spec.guide_effect.name: parameters[spec.guide_effect.sd][:, None]}
        if spec.line_scale:
            one_sd[spec.line_scale.name] = parameters[spec.line_scale.name]
        variance = variance + linear_predictor(spec, one_sd, at) ** 2
    of_new_lines = parameters[spec.line_effect.sd][:, None] ** 2
    variance = variance + np.where(at.cell_line < 0, of_new_lines, 0)
    return centre.T.astype(np.float64), np.sqrt(variance.T, dtype=np.float64)


def _positions(labels: Sequence[str], known: np.ndarray) -> np.ndarray:
    """Return the index of each label in `known`, -1 where it is not in it."""
    position = {label: index for index, label in enumerate(known.tolist())}
    return np.array([position.get(label, -1) for label in labels], dtype=np.int64)


def _refuse_unknown(gene: Sequence[str], gene_at: np.ndarray, known: np.ndarray) -> None:
    unknown = sorted({str(label) for label, at in zip(gene, gene_at, strict=True) if at < 0})
    if unknown:
        raise ValueError(
            f"expected genes of the fit ({len(known)}, such as {known[0]}), got "
            f"{len(unknown)} others: {', '.join(unknown[:10])}; remove these, or fit a screen "
            "that has them"
        )

"""Prediction of log fold changes from posterior draws, for genes of the fit and any cell line.

This file is copied into every logged model, which must load without ScreenBayes: import only numpy
and scipy here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import elementwise
from scipy.special import ndtr, ndtri

if TYPE_CHECKING:
    import xarray as xr

NEW_LINES_SEED = 0
"""Of the scales and the noise of lines that were not fitted."""
ROWS_AT_ONCE = 2000  # bounds the memory of several arrays of rows x draws


@dataclass(frozen=True, eq=False)
class EffectDraws:
    """S posterior draws of the parameters needed for predictions of G genes and C cell lines.

    Arrays with a draw axis are float32: draws differ by far more than its rounding.
    """

    genes: np.ndarray
    """Gene labels (G,), text."""
    cell_lines: np.ndarray
    """Labels of the fitted cell lines (C,), text."""
    alpha_g: np.ndarray
    """Log fold change at mean RNA (S, G)."""
    beta_g: np.ndarray
    """Slope, log fold change per SD of RNA (S, G)."""
    gamma_c: np.ndarray
    """Shift of each fitted cell line (S, C), log fold change."""
    mu_gamma: np.ndarray
    """Mean of the cell line shifts (S,), 0 in a model without it."""
    sigma_gamma: np.ndarray
    """SD of the cell line shifts (S,)."""
    effects_sd: np.ndarray
    """SD of the effects of any guide and its pairs (S, G), (S, 1) where it is that of all genes."""
    scale: np.ndarray
    """Scale of all effects but gamma_c in each fitted cell line, then in any other (S, C + 1)."""
    noise: np.ndarray
    """SD of the noise in each fitted cell line, then in any other (S, C + 1)."""
    rna_mean: np.ndarray
    """Mean subtracted from the RNA of each gene (G,), log2(TPM+1); 0 for RNA given as z-scores."""
    rna_sd: np.ndarray
    """SD by which the RNA of each gene is then divided (G,); 1 for RNA given as z-scores."""
    kappa_g: np.ndarray
    """Slope on copy number, log fold change per log2(ratio + 1) (S, G), or (S, 0) without."""
    copy_number_mean: np.ndarray
    """Mean subtracted from the copy number of each gene (G,), log2(ratio + 1), NaN if unknown."""


def thin_draws(
    posterior: "xr.Dataset",
    rna_mean: np.ndarray,
    rna_sd: np.ndarray,
    max_draws: int = 1000,
    copy_number_mean: np.ndarray | None = None,
) -> EffectDraws:
    """Return at most `max_draws` draws of a posterior, evenly spread over all chains.

    `rna_mean` and `rna_sd` (G,) turn the RNA of a gene into the covariate of the fit, and
    `copy_number_mean` (G,) its copy number, where the model has a slope on it.

    In a model with effects of guides, gene-line pairs and guide-line pairs, the SD of a measurement
    of any guide around its expectation is

        sqrt(s_c^2 (sigma_guide^2 + omega_g^2 + sigma_guide_line^2) + (sigma f_c)^2)

    with factors that a model lacks at 1, and omega_g at `sigma_gene_line`. Scale and noise of a
    line that was not fitted are drawn from their distribution over lines, once per draw.
    """
    n_draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    kept = np.linspace(0, n_draws - 1, min(n_draws, max_draws)).round().astype(int)

    def draws_of(name: str) -> np.ndarray:
        values = posterior[name].to_numpy()
        return values.reshape(n_draws, *values.shape[2:])[kept].astype(np.float32)

    n_lines, zero = posterior.sizes["cell_line"], np.zeros((len(kept), 1), np.float32)
    random = np.random.default_rng(NEW_LINES_SEED)

    def by_line(factor: str, sd: str) -> np.ndarray:
        if factor not in posterior:
            return np.ones((len(kept), n_lines + 1), np.float32)
        new = np.exp(draws_of(sd) * random.standard_normal(len(kept)).astype(np.float32))
        return np.column_stack([draws_of(factor), new])

    def of_all(name: str) -> np.ndarray:
        return draws_of(name)[:, None] if name in posterior else zero

    of_gene = draws_of("omega_g") if "omega_g" in posterior else of_all("sigma_gene_line")
    return EffectDraws(
        genes=posterior["gene"].to_numpy().astype(str),
        cell_lines=posterior["cell_line"].to_numpy().astype(str),
        alpha_g=draws_of("alpha_g"),
        beta_g=draws_of("beta_g"),
        gamma_c=draws_of("gamma_c"),
        mu_gamma=(
            draws_of("mu_gamma") if "mu_gamma" in posterior else np.zeros(len(kept), np.float32)
        ),
        sigma_gamma=draws_of("sigma_gamma"),
        effects_sd=np.sqrt(
            of_gene**2 + of_all("sigma_guide") ** 2 + of_all("sigma_guide_line") ** 2
        ),
        scale=by_line("s_c", "sigma_s"),
        noise=of_all("sigma") * by_line("f_c", "sigma_f"),
        rna_mean=np.asarray(rna_mean, np.float64),
        rna_sd=np.asarray(rna_sd, np.float64),
        kappa_g=(
            draws_of("kappa_g") if "kappa_g" in posterior else np.zeros((len(kept), 0), np.float32)
        ),
        copy_number_mean=np.asarray(
            np.full(len(rna_mean), np.nan) if copy_number_mean is None else copy_number_mean,
            np.float64,
        ),
    )


def predict_logfc(
    draws: EffectDraws,
    gene: Sequence[str],
    cell_line: Sequence[str],
    rna: np.ndarray,
    probability: float = 0.89,
    copy_number: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, lower and upper end (N,) of the log fold change of one measurement per row.

    Given draw s, a measurement of gene g in cell line c is

        Normal(gamma_c + s_c level, sd)         for a fitted cell line
        Normal(mu_gamma + s_c level, sqrt(sd^2 + sigma_gamma^2))     for any other

    with level = alpha_g + beta_g r + kappa_g x, r the RNA in SDs from the mean of the gene, x its
    copy number, log2(ratio + 1), less the mean of the gene (0 where either is unknown, as in the
    fit, and in a model without) and sd as in `thin_draws`, the second with gamma_c ~
    Normal(mu_gamma, sigma_gamma) integrated out. The prediction is the equal mixture of
    these Normals over the draws; the interval contains `probability` of it, with equal tails, and
    is exact for these draws.

    Raises ValueError for a gene that was not fitted and for RNA that is not a finite number.
    """
    gene_at = _positions(gene, draws.genes)
    line_at = _positions(cell_line, draws.cell_lines)
    rna = np.asarray(rna, np.float64)
    _refuse_unknown(gene, gene_at, draws.genes)
    if not np.isfinite(rna).all():
        without = np.flatnonzero(~np.isfinite(rna))
        raise ValueError(
            f"expected a finite number for the RNA of every row, got none in {without.size} "
            f"(first: row {without[0]}); remove the rows without RNA"
        )
    covariate = (rna - draws.rna_mean[gene_at]) / draws.rna_sd[gene_at]
    if copy_number is None:
        copy_number = np.full(rna.size, np.nan)
    excess = np.asarray(copy_number, np.float64) - draws.copy_number_mean[gene_at]
    excess = np.where(np.isfinite(excess), excess, 0.0)
    tails = np.array([(1 - probability) / 2, (1 + probability) / 2])

    mean, low, high = np.empty((3, rna.size))
    for start in range(0, rna.size, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        centre, sd = _components(draws, gene_at[rows], line_at[rows], covariate[rows], excess[rows])
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
    draws: EffectDraws,
    gene_at: np.ndarray,
    line_at: np.ndarray,
    covariate: np.ndarray,
    excess: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and SD (N, S) of each draw's Normal; a line at -1 was not fitted."""
    fitted = line_at >= 0
    shift = np.where(fitted, draws.gamma_c[:, line_at], draws.mu_gamma[:, None])
    scale, noise = draws.scale[:, line_at], draws.noise[:, line_at]  # the last is any other line
    of_all_genes = draws.effects_sd.shape[1] == 1
    effects_sd = draws.effects_sd if of_all_genes else draws.effects_sd[:, gene_at]
    variance = (scale * effects_sd) ** 2 + noise**2
    variance = variance + np.where(fitted, 0, draws.sigma_gamma[:, None] ** 2)
    level = draws.alpha_g[:, gene_at] + draws.beta_g[:, gene_at] * covariate
    if draws.kappa_g.shape[1]:
        level = level + draws.kappa_g[:, gene_at] * excess
    centre = shift + scale * level
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

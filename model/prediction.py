"""Log fold changes predicted from posterior draws, for genes of the fit and any cell line.

Only numpy and scipy may be imported here, and nothing of ours: this file travels with every logged
model, so that the model is read where ScreenBayes is not installed. How the draws get into a
logged model and out of it is `tasks.logged_model` and `tasks.effect_model`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import elementwise
from scipy.special import ndtr, ndtri

if TYPE_CHECKING:
    import xarray as xr

SIGMAS_OF_A_MEASUREMENT = ("sigma", "sigma_guide", "sigma_gene_line", "sigma_guide_line")
ROWS_AT_ONCE = 2000  # bounds the memory: rows x draws numbers are held several times over


@dataclass(frozen=True, eq=False)
class EffectDraws:
    """S posterior draws of what a prediction for G genes and C cell lines needs.

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
    """Mean of the cell line shifts (S,), 0 in a model that has it so."""
    sigma_gamma: np.ndarray
    """SD of the cell line shifts (S,)."""
    sigma: np.ndarray
    """SD of one measurement of any guide around alpha_g + gamma_c + beta_g r (S,)."""
    rna_mean: np.ndarray
    """What is taken off the RNA of each gene (G,), log2(TPM+1); 0 where RNA came as z-scores."""
    rna_sd: np.ndarray
    """What the RNA of each gene is then divided by (G,); 1 where RNA came as z-scores."""


def thin_draws(
    posterior: "xr.Dataset", rna_mean: np.ndarray, rna_sd: np.ndarray, max_draws: int = 1000
) -> EffectDraws:
    """Return at most `max_draws` draws of a posterior, evenly spread over all chains.

    `rna_mean` and `rna_sd` (G,) turn the RNA of a gene into the covariate of the fit.

    In a model with effects of guides, gene-line cells and guide-line cells a measurement of a guide
    not named scatters by all of them:

        sqrt(sigma^2 + sigma_guide^2 + sigma_gene_line^2 + sigma_guide_line^2)

    which is then `EffectDraws.sigma`.
    """
    n_draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    kept = np.linspace(0, n_draws - 1, min(n_draws, max_draws)).round().astype(int)

    def draws_of(name: str) -> np.ndarray:
        values = posterior[name].to_numpy()
        return values.reshape(n_draws, *values.shape[2:])[kept].astype(np.float32)

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
        sigma=np.linalg.norm(
            [draws_of(name) for name in SIGMAS_OF_A_MEASUREMENT if name in posterior], axis=0
        ),
        rna_mean=np.asarray(rna_mean, np.float64),
        rna_sd=np.asarray(rna_sd, np.float64),
    )


def predict_logfc(
    draws: EffectDraws,
    gene: Sequence[str],
    cell_line: Sequence[str],
    rna: np.ndarray,
    probability: float = 0.89,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, lower and upper end (N,) of the log fold change of one measurement a row.

    Given draw s, a measurement of gene g in cell line c is

        Normal(alpha_g + gamma_c + beta_g r, sigma)         for a fitted cell line
        Normal(alpha_g + mu_gamma + beta_g r, sqrt(sigma^2 + sigma_gamma^2))     for any other

    with r the RNA in SDs from the mean of the gene, the second with gamma_c ~ Normal(mu_gamma,
    sigma_gamma) integrated out. The prediction is the equal mixture of these Normals over s; the
    interval holds `probability` of it, with equal tails, and is exact for these draws.

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
            f"(first: row {without[0]}); leave out the rows without RNA"
        )
    covariate = (rna - draws.rna_mean[gene_at]) / draws.rna_sd[gene_at]
    tails = np.array([(1 - probability) / 2, (1 + probability) / 2])

    mean, low, high = np.empty((3, rna.size))
    for start in range(0, rna.size, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        centre, sd = _components(draws, gene_at[rows], line_at[rows], covariate[rows])
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
    draws: EffectDraws, gene_at: np.ndarray, line_at: np.ndarray, covariate: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD (N, S) of each draw's Normal; a line at -1 is one that was not fitted."""
    fitted = line_at >= 0
    shift = np.where(fitted, draws.gamma_c[:, line_at], draws.mu_gamma[:, None])
    variance = draws.sigma[:, None] ** 2 + np.where(fitted, 0, draws.sigma_gamma[:, None] ** 2)
    centre = draws.alpha_g[:, gene_at] + shift + draws.beta_g[:, gene_at] * covariate
    return centre.T.astype(np.float64), np.sqrt(variance.T, dtype=np.float64)


def _positions(labels: Sequence[str], known: np.ndarray) -> np.ndarray:
    """Index of each label among the known ones, -1 where it is not among them."""
    position = {label: index for index, label in enumerate(known.tolist())}
    return np.array([position.get(label, -1) for label in labels], dtype=np.int64)


def _refuse_unknown(gene: Sequence[str], gene_at: np.ndarray, known: np.ndarray) -> None:
    unknown = sorted({str(label) for label, at in zip(gene, gene_at, strict=True) if at < 0})
    if unknown:
        raise ValueError(
            f"expected genes of the fit ({len(known)}, such as {known[0]}), got "
            f"{len(unknown)} others: {', '.join(unknown[:10])}; leave these out, or fit a "
            "screen that has them"
        )

"""PSIS-LOO of influential gene-line pairs, with what belongs to their gene alone integrated out.

Importance weights of a pair fail where it moves the effects of its gene far. Given what genes share
and the spread of the gene, the density of a pair given the others of its gene is known: these
weights say only what the pair does to the rest (integrated importance sampling, Vehtari, Mononen,
Tolvanen, Sivula and Winther 2016, Bayesian leave-one-out cross-validation approximations for
Gaussian latent variable models, JMLR 17).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from model.prediction.loo import LOG_2_PI, LOO_DRAWS, Loo, is_bad, loo_summary
from model.prediction.pareto_smoothing import leave_one_out
from model.screen.design import ScreenDesign
from schemas.model_spec import model_spec
from schemas.parameters import ModelName, Priors

if TYPE_CHECKING:
    from model.effects.leave_out_by_draws import SampledScreen


def with_influential_pairs(
    loo: Loo,
    name: ModelName,
    design: ScreenDesign,
    priors: Priors,
    posterior: xr.Dataset,
    *,
    pareto_k_max: float,
) -> Loo:
    """Return LOO with pairs of Pareto k beyond the limit evaluated again, with their new k.

    `design` is that of `loo`; `posterior` may be of more genes. A model that the Gibbs engine does
    not support, such as one without effects of guides, keeps its LOO.
    """
    bad = np.flatnonzero(is_bad(loo.cells, pareto_k_max))
    if not bad.size or model_spec(name, design.covariates).not_gibbs:
        return loo
    # With Numba, which fits without such pairs may do without.
    from model.effects.leave_out_by_draws import SampledScreen

    cells = design.cells
    genes = np.unique(cells.gene[bad])
    part = design.of_genes(genes)
    screen = SampledScreen.of(name, part, priors, posterior, LOO_DRAWS)
    elpd, pareto_k = (loo.cells[column].to_numpy(copy=True) for column in ("elpd_loo", "pareto_k"))
    for at, gene in enumerate(genes):
        pairs = bad[cells.gene[bad] == gene]
        log_density = _log_density(screen, part, at, cells.cell_line[pairs])
        elpd[pairs], pareto_k[pairs], _ = leave_one_out(log_density)
    # The log density of the pairs within the sample stays the same.
    p_loo = loo.summary.p_loo - float((elpd - loo.cells["elpd_loo"]).sum())
    again = loo.cells.assign(elpd_loo=elpd, pareto_k=pareto_k)
    return Loo(loo_summary(again, p_loo, pareto_k_max, loo.summary.n_cells_of_screen), again)


def _log_density(
    screen: SampledScreen, design: ScreenDesign, gene: int, lines: np.ndarray
) -> np.ndarray:
    """Return the log density of the measurements of a gene in some lines, each given the others.

    (S, lines), natural log, of densities per log2 unit, as `model.prediction.loo`.
    """
    from model.effects.leave_out_by_draws import log_evidence  # as above

    n_lines = screen.data.columns.shape[2]
    groups = np.concatenate([np.zeros((1, n_lines), bool), np.eye(n_lines, dtype=bool)[lines]])
    evidence = log_evidence(screen, groups, slice(gene, gene + 1))[..., 0]
    guides = design.guide_gene == gene
    count, total = design.count[guides][:, lines], design.total[guides][:, lines]
    n = np.maximum(count, 1)
    # Rounding may leave a few ulp below zero where all replicates agree.
    squares = design.sum_of_squares[gene, lines] - (total**2 / n).sum(axis=0)
    n_guides = np.count_nonzero(count, axis=0)
    variance = screen.of_lines[1][:, lines]
    within = (count.sum(axis=0) - n_guides) * (LOG_2_PI + np.log(variance))
    within += np.maximum(0, squares) / variance
    constant = n_guides * LOG_2_PI + np.log(n).sum(axis=0)
    density: np.ndarray = evidence[:, :1] - evidence[:, 1:] - 0.5 * (within + constant)
    return density

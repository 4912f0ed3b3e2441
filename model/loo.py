"""How well a model foresees gene-line cells it has not seen: log likelihoods and PSIS-LOO.

A cell is left out whole, with all its guides and replicates: leaving out single measurements would
reward a model for foreseeing replicates from each other. Weighing is ArviZ's (Vehtari, Gelman and
Gabry 2017). Leaving out whole cell lines is `model.left_out`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base.array import array_stats

from model.design import ScreenDesign
from model.guide_lines import GuideLines, guide_lines
from model.predictive import thin
from schemas.reports import LooSummary

LOO_DRAWS = 1000
"""Draws weighed for a cell: the tail that is smoothed then holds a hundred of them."""
NUMBERS_AT_ONCE = 2_000_000
"""Numbers in the largest array while some genes are computed, 16 MB."""
LOG_2_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class Loo:
    """PSIS-LOO by gene-line cell."""

    summary: LooSummary
    cells: pd.DataFrame
    """gene, cell_line, elpd_loo (natural log), pareto_k; one row a cell, by gene, then by line."""


def leave_one_cell_out(
    posterior: xr.Dataset, design: ScreenDesign, *, pareto_k_max: float, n_cells_of_screen: int
) -> Loo:
    """Return the expected log predictive density of each gene-line cell given all others.

    `design` may be a part of the one fitted, which had `n_cells_of_screen` cells. Draws are thinned
    to LOO_DRAWS, which leaves those of a sampler all but independent.
    """
    parameters = thin(posterior, LOO_DRAWS)
    n_draws = parameters.sizes["chain"] * parameters.sizes["draw"]
    parts = []
    for genes in _pieces(design, n_draws):
        log_likelihood = cell_log_likelihood(parameters, design.of_genes(genes))
        parts.append(array_stats.loo(log_likelihood.T, chain_axis=None))
    elpd, pareto_k, p_loo = (np.concatenate(part) for part in zip(*parts, strict=True))
    cells = design.cells
    return Loo(
        LooSummary(
            elpd_loo=elpd.sum(),
            elpd_loo_se=np.sqrt(elpd.size * np.var(elpd, ddof=1)),
            p_loo=p_loo.sum(),
            # Written as "not good", so that NaN, which compares false, counts as bad.
            pareto_k_bad=float(np.mean(~(pareto_k <= pareto_k_max))),
            n_cells=elpd.size,
            n_cells_of_screen=n_cells_of_screen,
        ),
        pd.DataFrame(
            {
                "gene": np.array(design.genes)[cells.gene],
                "cell_line": np.array(design.cell_lines)[cells.cell_line],
                "elpd_loo": elpd,
                "pareto_k": pareto_k,
            }
        ),
    )


def _pieces(design: ScreenDesign, n_draws: int) -> list[np.ndarray]:
    """Cut the genes into pieces whose guide-line cells fit into an array with all draws."""
    n_genes = len(design.genes)
    n_pieces = -(-n_draws * int(np.count_nonzero(design.count)) // NUMBERS_AT_ONCE)
    return np.array_split(np.arange(n_genes), min(n_genes, n_pieces))


def log_likelihood_group(parameters: xr.Dataset, design: ScreenDesign) -> xr.Dataset:
    """Return the group `log_likelihood`: `logfc` by chain, draw and cell, as ArviZ reads it."""
    values = cell_log_likelihood(parameters, design)
    shape = (parameters.sizes["chain"], parameters.sizes["draw"], -1)
    return xr.Dataset(
        {"logfc": (("chain", "draw", "cell"), values.reshape(shape))},
        coords={name: parameters[name] for name in ("chain", "draw")},
    )


def cell_log_likelihood(parameters: xr.Dataset, design: ScreenDesign) -> np.ndarray:
    """Return the log density of the measurements of each gene-line cell given each draw.

    (S, M): draws of all chains in turn, cells as in `design.cells`; natural log, of densities per
    log2 unit. What the model has of single cells (eps and zeta of m4_nested) is integrated out, the
    effects of guides are not. `parameters` may be of a larger design with the same lines.

    The n_k measurements of guide k in the cell have mean m_k and squares SS_k around it, so that

        log p = -(n - K)/2 log(2 pi sigma^2) - 1/2 sum log n_k - sum SS_k / (2 sigma^2)
                + log Normal(m; expected, diag(v) + sigma_gene_line^2 1 1')
        v_k   = sigma_guide_line^2 + sigma^2 / n_k

    (Cochran's theorem for the first line; the second as in `model.nested`).
    """
    layout = guide_lines(design)
    order = np.argsort(layout.cell, kind="stable")
    first = np.flatnonzero(np.diff(layout.cell[order], prepend=-1))
    count = layout.count[order]

    def over_guides(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, first, axis=-1)

    deviation = layout.mean[order] - _expected(parameters, design, layout, order)
    sigma2 = _by_draw(parameters, "sigma")[:, None] ** 2
    variance = sigma2 / count + _variance(parameters, "sigma_guide_line")
    gene_line = _variance(parameters, "sigma_gene_line")
    weighted = deviation / variance
    inflation = 1 + gene_line * over_guides(1 / variance)
    log_density = over_guides(np.log(variance) + weighted * deviation + LOG_2_PI)
    log_density += np.log(inflation) - over_guides(weighted) ** 2 * gene_line / inflation

    cells = design.cells
    means_squared = over_guides(count * layout.mean[order] ** 2)
    # Rounding may leave a few ulp below zero where all replicates agree.
    within = np.maximum(0, design.sum_of_squares[cells.gene, cells.cell_line] - means_squared)
    freedom = cells.count - over_guides(np.ones(count.size))
    log_density += freedom * (LOG_2_PI + np.log(sigma2)) + over_guides(np.log(count))
    log_density += within / sigma2
    return -0.5 * log_density


def _expected(
    parameters: xr.Dataset, design: ScreenDesign, layout: GuideLines, order: np.ndarray
) -> np.ndarray:
    """Return the expected log fold change of guide-line cells (S, N), eps and zeta at 0."""
    own = parameters.sel(gene=list(design.genes))
    gene, line, guide = layout.gene[order], layout.cell_line[order], layout.guide[order]
    expected = _by_draw(own, "beta_g")[:, gene] * layout.rna[order]
    expected += _by_draw(own, "alpha_g")[:, gene]
    expected += _by_draw(own, "gamma_c")[:, line]
    if "delta_k" in own:
        expected += _by_draw(own.sel(guide=list(design.guides)), "delta_k")[:, guide]
    return expected


def _by_draw(parameters: xr.Dataset, name: str) -> np.ndarray:
    values = parameters[name].to_numpy()
    return values.reshape(-1, *values.shape[2:])


def _variance(parameters: xr.Dataset, name: str) -> np.ndarray | float:
    """Return the square of an SD by draw (S, 1); 0 in a model without it."""
    return _by_draw(parameters, name)[:, None] ** 2 if name in parameters else 0.0

"""Predictive accuracy for left-out gene-line pairs: log likelihoods and PSIS-LOO.

A pair is left out with all its guides and replicates: leaving out single measurements would reward
a model for predicting replicates from each other. The weights are ArviZ's (Vehtari, Gelman and
Gabry 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from model.likelihood.cell_covariance import pair_precision
from model.likelihood.linear_predictor import linear_predictor
from model.likelihood.spreads import spreads
from model.prediction.pareto_smoothing import leave_one_out
from model.prediction.predictive import of_design, of_part, replicated_part, thin
from model.runtime.executors import threaded_map
from model.screen.design import ScreenDesign, guide_lines
from schemas.model_spec import spec_of
from schemas.reports import LooSummary

LOO_DRAWS = 1000
"""Draws per pair: the smoothed tail then has about a hundred of them."""
NUMBERS_AT_ONCE = 2_000_000
"""Numbers in the largest array of a piece of genes, 16 MB."""
LOG_2_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class Loo:
    """PSIS-LOO by gene-line pair."""

    summary: LooSummary
    cells: pd.DataFrame
    """gene, cell_line, elpd_loo (natural log), pareto_k; one row per pair, by gene, then line."""


def leave_one_pair_out(
    posterior: xr.Dataset, design: ScreenDesign, *, pareto_k_max: float, n_cells_of_screen: int
) -> Loo:
    """Return the expected log predictive density of each gene-line pair given all others.

    `design` may be a part of the one fitted, which had `n_cells_of_screen` pairs. Draws are thinned
    to LOO_DRAWS, which makes those of a sampler nearly independent.
    """
    parameters = thin(of_part(posterior, design), LOO_DRAWS)
    n_draws = parameters.sizes["chain"] * parameters.sizes["draw"]

    def of_some(genes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return leave_one_out(cell_log_likelihood(parameters, design.of_genes(genes)))

    parts = threaded_map(of_some, _pieces(design, n_draws))
    elpd, pareto_k, p_loo = (np.concatenate(part) for part in zip(*parts, strict=True))
    pairs = design.cells
    cells = pd.DataFrame(
        {
            "gene": np.array(design.genes)[pairs.gene],
            "cell_line": np.array(design.cell_lines)[pairs.cell_line],
            "elpd_loo": elpd,
            "pareto_k": pareto_k,
        }
    )
    return Loo(loo_summary(cells, float(p_loo.sum()), pareto_k_max, n_cells_of_screen), cells)


def loo_summary(
    cells: pd.DataFrame, p_loo: float, pareto_k_max: float, n_cells_of_screen: int
) -> LooSummary:
    """Return the totals of the pairs of `Loo.cells`, which has effective parameters `p_loo`."""
    elpd = cells["elpd_loo"].to_numpy()
    return LooSummary(
        elpd_loo=elpd.sum(),
        elpd_loo_se=np.sqrt(elpd.size * np.var(elpd, ddof=1)),
        p_loo=p_loo,
        pareto_k_bad=float(np.mean(is_bad(cells, pareto_k_max))),
        n_cells=elpd.size,
        n_cells_of_screen=n_cells_of_screen,
    )


def is_bad(cells: pd.DataFrame, pareto_k_max: float) -> np.ndarray:
    """Return which pairs have a Pareto k beyond the limit, or none."""
    # Written as `not (good)`, so that NaN, which compares false, counts as bad.
    bad: np.ndarray = ~(cells["pareto_k"].to_numpy() <= pareto_k_max)
    return bad


def _pieces(design: ScreenDesign, n_draws: int) -> list[np.ndarray]:
    """Return pieces of genes: guide-line pairs x draws are about NUMBERS_AT_ONCE or fewer."""
    n_genes = len(design.genes)
    n_pieces = -(-n_draws * int(np.count_nonzero(design.count)) // NUMBERS_AT_ONCE)
    return np.array_split(np.arange(n_genes), min(n_genes, n_pieces))


def log_likelihood_group(parameters: xr.Dataset, design: ScreenDesign) -> xr.Dataset:
    """Return the group `log_likelihood`: `logfc` by chain, draw and cell, in ArviZ's layout."""
    values = cell_log_likelihood(parameters, design)
    shape = (parameters.sizes["chain"], parameters.sizes["draw"], -1)
    return xr.Dataset(
        {"logfc": (("chain", "draw", "cell"), values.reshape(shape))},
        coords={name: parameters[name] for name in ("chain", "draw")},
    )


def with_log_likelihood(tree: xr.DataTree, design: ScreenDesign, n_draws: int) -> xr.DataTree:
    """Return the tree of a fit with the group `log_likelihood`, of about `n_draws` draws.

    `design` is that of the fit; the pairs are those of the predictive groups. A tree that has the
    group is returned as it is.
    """
    if "log_likelihood" in tree.children:
        return tree
    part = replicated_part(tree, design)
    draws = thin(of_part(tree["posterior"].to_dataset(), part), n_draws)
    with_group = tree.copy()
    with_group["log_likelihood"] = xr.DataTree(log_likelihood_group(draws, part))
    return with_group


def cell_log_likelihood(parameters: xr.Dataset, design: ScreenDesign) -> np.ndarray:
    """Return the log density of the measurements of each gene-line pair given each draw.

    (S, M): draws chain by chain, pairs as in `design.cells`; natural log, of densities per log2
    unit. Effects of pairs (eps and zeta of m4_nested) are integrated out, those of guides are not.
    `parameters` may be of a larger design with the same lines.

    The n_k measurements of guide k in the pair have mean m_k and squares SS_k around it, so that

        log p = -(n - K)/2 log(2 pi sigma^2) - 1/2 sum log n_k - sum SS_k / (2 sigma^2)
                + log Normal(m; expected, sigma^2 V^-1)

    (Cochran's theorem for the first line; V as in `model.likelihood.cell_covariance`).
    """
    units = guide_lines(design)
    order = np.argsort(units.cell, kind="stable")
    cell, count = units.cell[order], units.count[order]
    first = np.flatnonzero(np.diff(cell, prepend=-1))

    def over_guides(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, first, axis=-1)

    spec, draws = spec_of(parameters.data_vars), of_design(parameters, design)
    deviation = (units.mean - units.of_grid(linear_predictor(spec, draws, units.grid)))[:, order]
    cells = design.cells
    # All SDs are the same at the guides of a pair.
    sds = spreads(spec, draws, cells)
    sigma2 = sds.noise**2

    def back(values: np.ndarray) -> np.ndarray:
        return values[:, cell] if values.shape[1] > 1 else values

    guide_line, gene_line = sds.guide_line**2 / sigma2, sds.gene_line**2 / sigma2
    pairs = pair_precision(count, back(guide_line), gene_line, over_guides)
    solved = pairs.solve(deviation, over_guides, back)
    log_density = over_guides(
        LOG_2_PI + np.log(back(sigma2) / pairs.w) + deviation * solved / back(sigma2)
    )
    log_density -= np.log(pairs.s)

    means_squared = over_guides(count * units.mean[order] ** 2)
    # Rounding may leave a few ulp below zero where all replicates agree.
    within = np.maximum(0, design.sum_of_squares[cells.gene, cells.cell_line] - means_squared)
    freedom = cells.count - over_guides(np.ones(count.size))
    log_density += freedom * (LOG_2_PI + np.log(sigma2)) + over_guides(np.log(count))
    log_density += within / sigma2
    return -0.5 * log_density

"""The table of parameters: ArviZ's summary of a posterior, one row per parameter."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

from model.diagnostics.effective_sample_size import (
    effective_sample_sizes,
    potential_scale_reductions,
    split_chains,
)
from model.prediction.predictive import HDI_MASS, shortest_intervals
from model.runtime.executors import threaded_map
from schemas.posterior import parameter_names, variable_of

GROUP = "summary"
"""Group of an engine's result, where its draws were summarised to judge them."""
NUMBERS_AT_ONCE = 250_000
"""Draws in a block of parameters, 2 MB; about a dozen copies are made."""
TAILS = 1 - HDI_MASS, HDI_MASS
"""Quantiles whose smaller effective sample size is that of the tails."""


def parameter_summary(tree: xr.DataTree) -> pd.DataFrame:
    """Return ArviZ's summary, unrounded, with labels in the first column, `parameter`.

    The other columns are ArviZ's: mean, sd, hdi89_lb, hdi89_ub (89 % highest density interval),
    ess_bulk, ess_tail, r_hat, mcse_mean, mcse_sd. Labels are `mu_alpha`, `beta_g[SOX10 (6663)]`.

    R-hat of a constant parameter is NaN: it is no evidence of convergence.

    `arviz.summary` takes one parameter at a time; a release has a hundred thousand of them. Here
    blocks of parameters are computed in array operations.
    """
    posterior = tree["posterior"].dataset
    table = pd.concat(threaded_map(_block_summary, _blocks(posterior)), ignore_index=True)
    table.insert(0, "parameter", parameter_names(posterior))
    return table


def with_summary(tree: xr.DataTree, summary: pd.DataFrame) -> xr.DataTree:
    """Return an engine's result with the table of its parameters, for `summary_of`."""
    tree = tree.copy()
    tree[GROUP] = xr.DataTree(xr.Dataset.from_dataframe(summary))
    return tree


def summary_of(tree: xr.DataTree, variables: Collection[str] | None = None) -> pd.DataFrame:
    """Return `parameter_summary` of all or some variables; it is not computed where it is there."""
    posterior = tree["posterior"].dataset
    kept = [name for name in posterior if variables is None or name in variables]
    if GROUP not in tree.children:
        return parameter_summary(xr.DataTree.from_dict({"posterior": posterior[kept]}))
    summary: pd.DataFrame = tree[GROUP].to_dataset().to_dataframe()
    return summary[variable_of(summary["parameter"]).isin(kept)].reset_index(drop=True)


def _blocks(posterior: xr.Dataset) -> Iterator[np.ndarray]:
    """Yield blocks of the draws of all parameters, (parameter, chain, draw)."""
    n_draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    width = max(1, NUMBERS_AT_ONCE // n_draws)
    for variable in posterior.data_vars.values():
        draws = variable.to_numpy().reshape(*variable.shape[:2], -1)
        for start in range(0, draws.shape[2], width):
            yield np.ascontiguousarray(np.moveaxis(draws[:, :, start : start + width], 2, 0))


def _block_summary(draws: np.ndarray) -> pd.DataFrame:
    """Return the summary of draws (parameter, chain, draw)."""
    pooled = draws.reshape(len(draws), -1)
    split = split_chains(draws)
    normal = _rank_normalised(split)
    folded = _rank_normalised(np.abs(split - np.median(split, axis=(1, 2), keepdims=True)))
    # A constant parameter has no variance to divide by, and draws may be huge or infinite.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        low, high = shortest_intervals(pooled)
        squares = (draws - pooled.mean(axis=1)[:, None, None]) ** 2
        variance, sd = squares.mean(axis=(1, 2)), pooled.std(axis=1, ddof=1)
        of_squares = (squares**2).mean(axis=(1, 2)) - variance**2
        return pd.DataFrame(
            {
                "mean": pooled.mean(axis=1),
                "sd": sd,
                "hdi89_lb": low,
                "hdi89_ub": high,
                "ess_bulk": effective_sample_sizes(normal),
                "ess_tail": np.minimum(*(_ess_of_quantile(draws, p) for p in TAILS)),
                "r_hat": np.maximum(*(potential_scale_reductions(z) for z in (normal, folded))),
                "mcse_mean": sd / np.sqrt(effective_sample_sizes(split)),
                "mcse_sd": np.sqrt(
                    of_squares / effective_sample_sizes(split_chains(squares)) / variance / 4
                ),
            }
        )


def _ess_of_quantile(draws: np.ndarray, share: float) -> np.ndarray:
    """Return the effective sample size of the share of draws up to this quantile."""
    quantile = np.quantile(draws, share, axis=(1, 2), keepdims=True)
    sizes = effective_sample_sizes(split_chains((draws <= quantile).astype(np.float64)))
    return np.where(np.isnan(draws).any(axis=(1, 2)), np.nan, sizes)


def _rank_normalised(draws: np.ndarray) -> np.ndarray:
    """Return the normal scores of draws (parameter, chain, draw): Vehtari et al. 2021, eq. 14."""
    pooled = draws.reshape(len(draws), -1)
    order = np.argsort(pooled, axis=1)
    ordered = np.take_along_axis(pooled, order, axis=1)
    # Draws are distinct as a rule, and all parameters have the same scores then.
    distinct = _normal_scores(np.arange(1, pooled.shape[1] + 1), pooled.shape[1])
    scores = np.tile(distinct, (len(pooled), 1))
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    scores[tied] = _scores_of_ties(ordered[tied])
    scores[np.isnan(ordered[:, -1])] = np.nan
    result = np.empty_like(scores)
    np.put_along_axis(result, order, scores, axis=1)
    return result.reshape(draws.shape)


def _scores_of_ties(ordered: np.ndarray) -> np.ndarray:
    """Return the normal scores of ordered draws (parameter, draw); equal ones share their rank."""
    is_first = np.ones(ordered.shape, bool)
    is_first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.flatnonzero(is_first)
    n_equal = np.diff(first, append=ordered.size)
    rank = first % ordered.shape[1] + (n_equal + 1) / 2
    return np.repeat(_normal_scores(rank, ordered.shape[1]), n_equal).reshape(ordered.shape)


def _normal_scores(rank: np.ndarray, n: int) -> np.ndarray:
    scores: np.ndarray = ndtri((rank - 3 / 8) / (n + 1 / 4))
    return scores

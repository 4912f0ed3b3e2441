"""The table of parameters: ArviZ's summary of a posterior, one row per parameter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base.array import array_stats
from scipy.special import ndtri
from scipy.stats import rankdata

from model.prediction.predictive import HDI_MASS
from schemas.posterior import parameter_names

NUMBERS_AT_ONCE = 2_000_000
"""Draws in a block of parameters, 16 MB; about a dozen copies are made."""


def parameter_summary(tree: xr.DataTree) -> pd.DataFrame:
    """Return ArviZ's summary, unrounded, with labels in the first column, `parameter`.

    The other columns are ArviZ's: mean, sd, hdi89_lb, hdi89_ub (89 % highest density interval),
    ess_bulk, ess_tail, r_hat, mcse_mean, mcse_sd. Labels are `mu_alpha`, `beta_g[SOX10 (6663)]`.

    R-hat of a constant parameter is NaN: it is no evidence of convergence.

    `arviz.summary` ranks the draws of each parameter three times; a release has a hundred thousand
    parameters. Here each block of parameters is ranked once.
    """
    posterior = tree["posterior"].dataset
    blocks = [_block_summary(block) for block in _blocks(posterior)]
    table = pd.concat(blocks, ignore_index=True)
    table.insert(0, "parameter", parameter_names(posterior))
    return table


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
    half = draws.shape[2] // 2
    split = np.concatenate([draws[..., :half], draws[..., -half:]], axis=1)
    normal = _rank_normalised(split)
    folded = _rank_normalised(np.abs(split - np.median(split, axis=(1, 2), keepdims=True)))
    # ArviZ divides by the variance within chains, which is 0 for a constant parameter.
    with np.errstate(invalid="ignore", divide="ignore"):
        interval = array_stats.hdi(pooled, HDI_MASS)
        return pd.DataFrame(
            {
                "mean": pooled.mean(axis=1),
                "sd": pooled.std(axis=1, ddof=1),
                "hdi89_lb": interval[:, 0],
                "hdi89_ub": interval[:, 1],
                "ess_bulk": array_stats.ess(normal, method="identity"),
                "ess_tail": array_stats.ess(draws, method="tail", prob=HDI_MASS),
                "r_hat": np.maximum(
                    *(array_stats.rhat(z, method="identity") for z in (normal, folded))
                ),
                "mcse_mean": array_stats.mcse(draws),
                "mcse_sd": array_stats.mcse(draws, method="sd"),
            }
        )


def _rank_normalised(draws: np.ndarray) -> np.ndarray:
    """Return the normal scores of draws (parameter, chain, draw): Vehtari et al. 2021, eq. 14."""
    pooled = draws.reshape(len(draws), -1)
    share = (rankdata(pooled, axis=1) - 3 / 8) / (pooled.shape[1] + 1 / 4)
    return ndtri(share).reshape(draws.shape)

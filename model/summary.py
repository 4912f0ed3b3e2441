"""ArviZ's summary of a posterior as a flat table, one row a parameter.

The table of genes is `model.effects`; the judgement on convergence is `model.convergence`.
"""

from __future__ import annotations

import warnings

import arviz as az
import pandas as pd
import xarray as xr

from model.predictive import HDI_MASS


def parameter_summary(tree: xr.DataTree) -> pd.DataFrame:
    """Return ArviZ's summary, unrounded, with the labels in a first column `parameter`.

    The other columns are ArviZ's: mean, sd, hdi89_lb, hdi89_ub (89 % highest density interval),
    ess_bulk, ess_tail, r_hat, mcse_mean, mcse_sd. Labels read `mu_alpha`, `beta_g[SOX10 (6663)]`.

    R-hat of a parameter that never moves is NaN, and stays so: it is no evidence of convergence.
    """
    with warnings.catch_warnings():
        # ArviZ divides by the variance within chains, which is 0 where a parameter never moves.
        warnings.filterwarnings("ignore", "invalid value encountered", RuntimeWarning)
        table = az.summary(tree, ci_kind="hdi", ci_prob=HDI_MASS, round_to="none")
    return table.rename_axis("parameter").reset_index()

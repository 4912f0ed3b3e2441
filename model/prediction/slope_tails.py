"""Whether the slopes of the genes are as Normal as the prior of the model has them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from model.prediction.predictive import HDI_MASS
from schemas.model_spec import ModelSpec
from schemas.reports import SLOPE_TAILS, PredictiveCheck

DESCRIPTION = "Kurtosis of the standardised slopes of all genes: few large ones among many near 0."
LEAST_INFORMATION = 0.2
"""Of a gene: share of the variance of its slope that the data remove. Below it, Monte Carlo error
of that share would make the tails."""
FEWEST_GENES = 20
"""Genes with that much information; with fewer the check says nothing."""
AT_ONCE, PIECES = 200, 20
REPLICATES = AT_ONCE * PIECES


def slope_tails(spec: ModelSpec, posterior: xr.Dataset, seed: int) -> PredictiveCheck | None:
    """Compare the tails of the estimated slopes with those of a Normal distribution.

    Under beta_g ~ Normal(mu_beta, sigma_beta) the posterior mean of a slope is Normal over screens
    with variance sigma_beta^2 - Var(beta_g | data), by the law of total variance, so that

        u_g = (E(beta_g | data) - mu_beta) / sqrt(sigma_beta^2 - Var(beta_g | data))

    are standard Normal over genes. Their kurtosis is compared with that of as many standard Normal
    numbers. Returns None for a model with another prior, and where too few genes are informative.
    """
    effect = spec.gene_effects[spec.rna_column]
    if not effect.sd:
        return None
    slopes, mean, sd = (
        posterior[name].to_numpy().reshape(-1, *posterior[name].shape[2:])
        for name in (effect.name, effect.mean, effect.sd)
    )
    variance = float(np.mean(sd**2))
    removed = variance - (slopes - mean[:, None]).var(axis=0)
    used = removed >= LEAST_INFORMATION * variance
    if np.isnan(removed).any() or used.sum() < FEWEST_GENES:
        return None
    standardised = (slopes.mean(axis=0) - mean.mean())[used] / np.sqrt(removed[used])
    observed = float(_kurtosis(standardised[None])[0])
    random = np.random.default_rng(seed)
    # In pieces: all genes of a release times all replicates take half a gigabyte.
    normal = np.concatenate(
        [_kurtosis(random.standard_normal((AT_ONCE, standardised.size))) for _ in range(PIECES)]
    )
    tail = (1 - HDI_MASS) / 2
    return PredictiveCheck(
        name=SLOPE_TAILS,
        description=DESCRIPTION,
        stage="posterior",
        bears_on_beta=True,
        observed=observed,
        replicated_mean=float(normal.mean()),
        replicated_low=float(np.quantile(normal, tail)),
        replicated_high=float(np.quantile(normal, 1 - tail)),
        p_value=float(np.mean(normal >= observed)),
        n_draws=REPLICATES,
    )


def _kurtosis(values: np.ndarray) -> np.ndarray:
    """Return the fourth central moment over the squared variance, by row; 3 if Normal."""
    squares = (values - values.mean(axis=1, keepdims=True)) ** 2
    kurtosis: np.ndarray = np.mean(squares**2, axis=1) / np.mean(squares, axis=1) ** 2
    return kurtosis

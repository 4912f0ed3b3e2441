"""Pareto-smoothed importance sampling for many left-out pairs at once, in array operations.

The definitions are those of Vehtari et al. 2024 (Pareto smoothed importance sampling, Journal of
Machine Learning Research 25), with the generalised Pareto fit of Zhang and Stephens 2009, as ArviZ
computes them pair by pair; a screen has a hundred thousand pairs.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

ROWS_AT_ONCE = 256
"""Pairs computed together: a few arrays of 8 MB."""
FEWEST_IN_TAIL = 5
PRIOR_SHAPE, PRIOR_WEIGHT = 0.5, 10
"""Pareto k that the fit shrinks to, and the number of draws that counts for."""


def leave_one_out(log_likelihood: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return elpd, Pareto k and effective number of parameters, (N,) each.

    `log_likelihood` (S, N) is the log density of each left-out pair given each of at least 25
    draws, taken as independent. Pareto k is infinite where no Pareto distribution fits, and NaN
    where the tail begins with ties: the weights are not smoothed then.
    """
    parts = [
        _leave_out(np.ascontiguousarray(log_likelihood[:, start : start + ROWS_AT_ONCE].T))
        for start in range(0, log_likelihood.shape[1], ROWS_AT_ONCE)
    ]
    elpd, pareto_k, p_loo = (np.concatenate(part) for part in zip(*parts, strict=True))
    return elpd, pareto_k, p_loo


def _leave_out(log_likelihood: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_draws = log_likelihood.shape[1]
    log_weight, pareto_k = _smoothed(-log_likelihood)
    elpd = logsumexp(log_weight + log_likelihood, axis=1)
    return elpd, pareto_k, logsumexp(log_likelihood, axis=1) - np.log(n_draws) - elpd


def _smoothed(log_ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return normalised log weights (N, S) with smoothed tails, and Pareto k (N,)."""
    n_draws = log_ratio.shape[1]
    n_tail = int(3 * np.sqrt(n_draws) if n_draws > 225 else n_draws / 5)
    if n_tail < FEWEST_IN_TAIL:
        raise ValueError(f"expected at least {5 * FEWEST_IN_TAIL} draws, got {n_draws}")
    log_weight = log_ratio - log_ratio.max(axis=1, keepdims=True)
    order = np.argpartition(log_weight, n_draws - n_tail - 1, axis=1)[:, n_draws - n_tail - 1 :]
    cutoff = np.exp(np.take_along_axis(log_weight, order[:, :1], axis=1))
    tail = np.take_along_axis(log_weight, order[:, 1:], axis=1)
    ascending = np.argsort(tail, axis=1)
    tail = np.take_along_axis(tail, ascending, axis=1)
    shape, scale = _fit_pareto(np.exp(tail) - cutoff)

    share = (np.arange(n_tail) + 0.5) / n_tail
    with np.errstate(invalid="ignore", divide="ignore"):
        # Quantiles of the fitted distribution.
        beyond = np.expm1(-shape[:, None] * np.log1p(-share)) / shape[:, None]
        beyond = np.where(shape[:, None] == 0, -np.log1p(-share), beyond)
        smoothed = np.log(cutoff + scale[:, None] * beyond)
    fits = np.isfinite(shape) & (scale > 0)
    smoothed = np.where(fits[:, None], np.minimum(smoothed, tail[:, -1:]), tail)
    columns = np.take_along_axis(order[:, 1:], ascending, axis=1)
    np.put_along_axis(log_weight, columns, smoothed, axis=1)
    return log_weight - logsumexp(log_weight, axis=1, keepdims=True), shape


def _fit_pareto(excess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shape k and scale of generalised Pareto distributions (N,) of excesses (N, M).

    Excesses ascend. The parameter b = -k / scale is the mean of a grid, weighted by its profile
    likelihood.
    """
    n = excess.shape[1]
    grid = 1 - np.sqrt((n_grid := 30 + int(np.sqrt(n))) / (np.arange(n_grid) + 0.5))
    quartile = excess[:, int(n / 4 + 0.5) - 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        b = grid / (3 * quartile[:, None]) + 1 / excess[:, -1:]
        k = np.log1p(-b[:, :, None] * excess[:, None, :]).mean(axis=2)
        log_profile = n * (np.log(-b / k) - k - 1)
        weight = np.exp(log_profile - logsumexp(log_profile, axis=1, keepdims=True))
        weight[weight < 10 * np.finfo(float).eps] = 0
        mean = (b * weight).sum(axis=1) / weight.sum(axis=1)
        shape = np.log1p(-mean[:, None] * excess).mean(axis=1)
        scale = -shape / mean
    shape = (n * shape + PRIOR_WEIGHT * PRIOR_SHAPE) / (n + PRIOR_WEIGHT)
    shape = np.where(np.isnan(shape), np.inf, shape)
    return np.where(quartile > excess[:, 0], shape, np.nan), scale

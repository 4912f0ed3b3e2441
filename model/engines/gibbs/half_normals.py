"""Compiled tails of the Normal distribution: likelihoods of half-normals and draws from them.

As `scipy.special.log_ndtr` and `ndtri_exp`, which compiled code cannot call.
"""

from __future__ import annotations

from math import erfc, exp, expm1, inf, log, log1p, pi, sqrt

import numpy as np

from model.engines.gibbs.compiled import cached

_ROOT_HALF, _LOG_ROOT_2_PI, _LOG_2 = sqrt(0.5), 0.5 * log(2 * pi), log(2)
_FAR = -30.0
"""Below, the tail is its asymptotic series; further out the error function underflows."""
_CORRECTIONS = 3
"""Of third order, from a start within 5e-4: the second already reaches rounding."""


@cached
def log_ndtr(x: float) -> float:
    """Return log Phi(x), the log of the distribution function of Normal(0, 1).

    Far out by its asymptotic series (Abramowitz and Stegun 1964, Handbook of mathematical
    functions, 26.2.12).
    """
    if x >= -1:
        return log1p(-0.5 * erfc(x * _ROOT_HALF))
    if x >= _FAR:
        return log(0.5 * erfc(-x * _ROOT_HALF))
    u = (1 / x) ** 2
    series = u * (1 - u * (3 - u * (15 - u * (105 - u * (945 - u * 10395)))))
    return -0.5 * x * x - log(-x) - _LOG_ROOT_2_PI + log1p(-series)


@cached
def ndtri_exp(y: float) -> float:
    """Return x with log Phi(x) = y, for y at most 0.

    Halley's method from a rational start (Abramowitz and Stegun 1964, 26.2.23), in the tail of the
    nearer side.
    """
    upper = y > -_LOG_2
    log_tail = log(-expm1(y)) if upper else y
    if log_tail == -inf:
        return inf if upper else -inf
    u = 1 / sqrt(-2 * log_tail)
    top = 2.515517 * u * u + 0.802853 * u + 0.010328
    x = top / (u * u * u + 1.432788 * u * u + 0.189269 * u + 0.001308) * u - 1 / u
    for _ in range(_CORRECTIONS):
        log_x = log_ndtr(x)
        slope = exp(-0.5 * x * x - _LOG_ROOT_2_PI - log_x)
        step = (log_x - log_tail) / slope
        x -= step / (1 + 0.5 * step * (x + slope))
    return -x if upper else x


@cached
def above_zero(mean: float, uniform: float) -> float:
    """Return a draw of Normal(mean, 1) cut at 0, by the inverse of its upper tail."""
    return max(mean - ndtri_exp(log(uniform) + log_ndtr(mean)), 0.0)


@cached
def relative_log_likelihoods(
    signed_scales: np.ndarray, information: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """Return the log likelihood of each component of each slope, relative to a slope of 0.

    (G, components), of which the first is the point mass at 0. With precision t = information +
    1 / scale^2 and z = score / sqrt(t), that of the half-normal on the side of sign d is

        2 (1 + scale^2 information)^-1/2 exp(z^2 / 2) Phi(d z)
    """
    relative = np.zeros((score.size, signed_scales.size))
    for g in range(score.size):
        for j in range(1, signed_scales.size):
            squared = signed_scales[j] ** 2
            z = score[g] / sqrt(information[g] + 1 / squared)
            along = z if signed_scales[j] > 0 else -z
            spread = log1p(squared * information[g])
            relative[g, j] = _LOG_2 - 0.5 * spread + 0.5 * z * z + log_ndtr(along)
    return relative


@cached
def scaled_likelihoods(
    signed_scales: np.ndarray, information: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """Return the likelihood of each component of each slope, with a factor by gene.

    (components, G): `relative_log_likelihoods` without a log that would be taken back. The factor
    is exp(-z^2 / 2) of the widest component, so that none overflows and one is not near 0.
    """
    likelihoods = np.zeros((signed_scales.size, score.size))
    narrowest = 1 / np.max(signed_scales**2)
    for g in range(score.size):
        most = 0.5 * score[g] ** 2 / (information[g] + narrowest)
        likelihoods[0, g] = exp(-most)
        for j in range(1, signed_scales.size):
            precision = signed_scales[j] ** -2
            t = information[g] + precision
            along = score[g] / sqrt(t) * (1 if signed_scales[j] > 0 else -1)
            tails = erfc(-along * _ROOT_HALF)
            likelihoods[j, g] = sqrt(precision / t) * exp(0.5 * along * along - most) * tails
    return likelihoods

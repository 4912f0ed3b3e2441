"""Metropolis-Hastings for single parameters, logs of SDs above all.

Half of the proposals are Normal around a Newton step with the information as precision (Gamerman
1997, Sampling from the posterior distribution in generalized linear mixed models, Statistics and
Computing 7), nearly always accepted where the density is nearly Normal. The others are random
steps, which leave the long tail of an SD near 0, from where a Newton step is hardly ever accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, log, sqrt

import numpy as np
from numba import njit

from model.engines.gibbs.small_matrices import (
    inverse_factors,
    log_diagonals,
    quadratic_forms,
    times,
    transposed_times,
)

Expansion = tuple[float, np.ndarray, np.ndarray]
"""Log density at a point of d dimensions, its derivative (d,) and its information (d, d)."""
Expand = Callable[[np.ndarray], Expansion]

SdPrior = tuple[float, int]
"""Rate and power of the prior of an SD (`model.likelihood.priors.rate_and_power`)."""

WIDTH = 0.7
"""SD of random steps."""
NEWTON_SHARE, NEWTON_SHARE_LARGE = 0.5, 0.95
"""Of joint steps: the others are needed to leave the neighbourhood of an SD of 0, where that of a
large screen never is."""
LARGEST_STEP = 2.0
"""Of a Newton step."""
LEAST_INFORMATION = 0.25
"""Of a proposal around a Newton step, whose SD is then 2."""


def joint_step(
    present: np.ndarray,
    expand: Expand,
    random: np.random.Generator,
    expanded: Expansion,
    newton_share: float = NEWTON_SHARE,
) -> tuple[np.ndarray, Expansion, bool]:
    """Return the next value of dependent parameters (d,), and whether they have moved.

    `expanded` is the expansion at the present value; that at the next one is returned. A Newton
    step moves all of them, a random step one.
    """
    value, gradient, information = expanded
    by_newton = random.uniform() < newton_share
    normal = random.standard_normal(present.size)
    if by_newton:
        proposed, log_forward = newton_proposal(present, gradient, information, normal)
    else:
        proposed = present.copy()
        proposed[random.integers(present.size)] += WIDTH * normal[0]
    new_expanded = expand(proposed)
    log_ratio = new_expanded[0] - value
    if not isfinite(log_ratio):
        return present, expanded, False
    if by_newton:
        log_ratio += newton_log_density(proposed, *new_expanded[1:], present) - log_forward
    accepted = log(random.uniform()) < log_ratio
    return (proposed, new_expanded, True) if accepted else (present, expanded, False)


@njit(cache=True, nogil=True, error_model="numpy")
def newton_proposal(
    point: np.ndarray, gradient: np.ndarray, information: np.ndarray, normal: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return a draw around the Newton step from a point (d,), and its log density.

    `normal` (d,) are standard normal; the density lacks a constant. Raises LinAlgError where the
    information (d, d) is not positive definite.
    """
    step, factor = _newton_step(gradient, information)
    log_density = -log_diagonals(factor)[0] - 0.5 * (normal**2).sum()
    return point + step + transposed_times(factor, normal[None])[0], log_density


@njit(cache=True, nogil=True, error_model="numpy")
def newton_log_density(
    point: np.ndarray, gradient: np.ndarray, information: np.ndarray, to: np.ndarray
) -> float:
    """Return the log density of proposing `to` (d,) from a point; the rest as above."""
    step, factor = _newton_step(gradient, information)
    squares: float = quadratic_forms(information[None], (to - point - step)[None])[0]
    return -log_diagonals(factor)[0] - 0.5 * squares


@njit(cache=True, nogil=True, error_model="numpy")
def _newton_step(gradient: np.ndarray, information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounded step (d,), and the inverse factor of the information (1, d, d)."""
    factor = inverse_factors(information[None])
    step = transposed_times(factor, times(factor, gradient[None]))[0]
    return np.minimum(np.maximum(step, -LARGEST_STEP), LARGEST_STEP), factor


@njit(cache=True, nogil=True, error_model="numpy")
def expand_priors(
    log_sds: np.ndarray, rate: np.ndarray, power: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the log prior density of log SDs (d,), but for a constant, and its gradient (d,)."""
    tilt = rate * np.exp(power * log_sds)
    return (log_sds - tilt).sum(), 1 - power * tilt


def log_prior_ratio(prior: SdPrior, proposed: float, present: float) -> float:
    """Return how much larger the log density of the log of one SD is than that of another."""
    rate, power = prior
    return log(proposed / present) - rate * (proposed**power - present**power)


def draw_sd(
    present: float, squares: float, n: int, prior: SdPrior, random: np.random.Generator
) -> float:
    """Return the next SD of n Normal effects with this sum of squares around their mean.

    Proposes from the posterior under a flat prior of log SD, squares / SD^2 ~ chi-squared(n).
    """
    proposed = sqrt(squares / (2 * random.standard_gamma(n / 2)))
    accepted = log(random.uniform()) < log_prior_ratio(prior, proposed, present)
    return proposed if accepted else present

"""Metropolis-Hastings for single parameters, logs of SDs above all.

Half of the proposals are Normal around a Newton step with the information as precision (Gamerman
1997, Sampling from the posterior distribution in generalized linear mixed models, Statistics and
Computing 7), nearly always accepted where the density is nearly Normal. The others are random
steps, which leave the long tail of an SD near 0, from where a Newton step is hardly ever accepted.
"""

from __future__ import annotations

from math import isfinite, log, sqrt
from typing import NamedTuple

import numpy as np

from model.engines.gibbs.compiled import part
from model.engines.gibbs.small_matrices import (
    inverse_factors,
    log_diagonals,
    quadratic_forms,
    times,
    transposed_times,
)

Expansion = tuple[float, np.ndarray, np.ndarray]
"""Log density at a point of d dimensions, its derivative (d,) and its information (d, d)."""

WIDTH = 0.7
"""SD of random steps."""
NEWTON_SHARE, NEWTON_SHARE_LARGE = 0.5, 0.95
"""Of joint steps: the others are needed to leave the neighbourhood of an SD of 0, where that of a
large screen never is."""
LARGEST_STEP = 2.0
"""Of a Newton step."""
LEAST_INFORMATION = 0.25
"""Of a proposal around a Newton step, whose SD is then 2."""


class Proposal(NamedTuple):
    """A next value of dependent parameters."""

    point: np.ndarray
    """(d,)."""
    by_newton: bool
    log_density: float
    """Of a proposal around a Newton step, but for a constant."""


@part
def propose(
    present: np.ndarray, expanded: Expansion, random: np.random.Generator, newton_share: float
) -> Proposal:
    """Return a proposal from the present value of dependent parameters (d,).

    `expanded` is the expansion there. A Newton step moves all of them, a random step one.
    """
    _, gradient, information = expanded
    by_newton = random.random() < newton_share
    normal = random.standard_normal(present.size)
    if by_newton:
        point, log_density = newton_proposal(present, gradient, information, normal)
        return Proposal(point, by_newton, log_density)
    point = present.copy()
    point[random.integers(0, present.size)] += WIDTH * normal[0]
    return Proposal(point, by_newton, 0.0)


@part
def accepts(
    present: np.ndarray,
    expanded: Expansion,
    proposal: Proposal,
    new_expanded: Expansion,
    random: np.random.Generator,
) -> bool:
    """Return whether a proposal, with the expansion there, is accepted."""
    log_ratio = new_expanded[0] - expanded[0]
    if not isfinite(log_ratio):
        return False
    if proposal.by_newton:
        _, gradient, information = new_expanded
        back = newton_log_density(proposal.point, gradient, information, present)
        log_ratio += back - proposal.log_density
    return np.log(random.random()) < log_ratio


@part
def newton_proposal(
    point: np.ndarray, gradient: np.ndarray, information: np.ndarray, normal: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return a draw around the Newton step from a point (d,), and its log density.

    `normal` (d,) are standard normal; the density lacks a constant. Raises LinAlgError where the
    information (d, d) is not positive definite.
    """
    step, factor = _newton_step(gradient, information)
    drawn = transposed_times(factor, normal[None])
    log_density = -log_diagonals(factor)[0]
    for i in range(point.size):
        drawn[0, i] += point[i] + step[0, i]
        log_density -= 0.5 * normal[i] ** 2
    return drawn[0], log_density


@part
def newton_log_density(
    point: np.ndarray, gradient: np.ndarray, information: np.ndarray, to: np.ndarray
) -> float:
    """Return the log density of proposing `to` (d,) from a point; the rest as above."""
    step, factor = _newton_step(gradient, information)
    for i in range(point.size):
        step[0, i] = to[i] - point[i] - step[0, i]
    squares: float = quadratic_forms(information[None], step)[0]
    return -log_diagonals(factor)[0] - 0.5 * squares


@part
def _newton_step(gradient: np.ndarray, information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounded step (1, d), and the inverse factor of the information (1, d, d)."""
    factor = inverse_factors(information[None], np.zeros(gradient.size))
    step = transposed_times(factor, times(factor, gradient[None]))
    for i in range(gradient.size):
        step[0, i] = min(max(step[0, i], -LARGEST_STEP), LARGEST_STEP)
    return step, factor


@part
def expand_priors(log_sds: np.ndarray, priors: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the log prior density of log SDs (d,), but for a constant, and its gradient (d,).

    `priors` (d, 2) are their rows of `Layout.priors`.
    """
    value, gradient = 0.0, np.zeros(log_sds.size)
    for i in range(log_sds.size):
        rate, power = priors[i, 0], priors[i, 1]
        tilt = rate * np.exp(power * log_sds[i])
        value += log_sds[i] - tilt
        gradient[i] = 1 - power * tilt
    return value, gradient


@part
def log_prior_ratio(prior: np.ndarray, proposed: float, present: float) -> float:
    """Return how much larger the log density of the log of one SD is than that of another.

    `prior` is its row of `Layout.priors`, as below.
    """
    rate, power = prior[0], prior[1]
    return log(proposed / present) - rate * (proposed**power - present**power)


@part
def draw_sd(
    present: float, squares: float, n: int, prior: np.ndarray, random: np.random.Generator
) -> float:
    """Return the next SD of n Normal effects with this sum of squares around their mean.

    Proposes from the posterior under a flat prior of log SD, squares / SD^2 ~ chi-squared(n).
    """
    proposed = sqrt(squares / (2 * random.standard_gamma(n / 2)))
    accepted = np.log(random.random()) < log_prior_ratio(prior, proposed, present)
    return proposed if accepted else present

"""Metropolis-Hastings for single parameters, logs of SDs above all.

Half of the proposals are Normal around a Newton step with the information as precision (Gamerman
1997, Sampling from the posterior distribution in generalized linear mixed models, Statistics and
Computing 7), nearly always accepted where the density is nearly Normal. The others are random
steps, which leave the long tail of an SD near 0, from where a Newton step is hardly ever accepted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.likelihood.priors import log_density_of_log, score
from schemas.parameters import Distribution

Expansion = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Log density, its derivative and its information at n points, all (n,); or at one of d dimensions,
(), (d,) and (d, d)."""
Expand = Callable[[np.ndarray], Expansion]

WIDTH = 0.7
"""SD of random steps."""
NEWTON_SHARE = 0.5
"""Of joint steps: the others are needed to leave the neighbourhood of an SD of 0."""
LARGEST_STEP = 2.0
"""Of a Newton step."""
LEAST_INFORMATION = 0.25
"""Of a proposal around a Newton step, whose SD is then 2."""


def mixed_steps(
    present: np.ndarray, expand: Expand, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the next value of n independent parameters (n,), and whether each has moved."""
    with np.errstate(over="ignore", invalid="ignore"):
        value, centre, information = _newton(present, expand(present))
        normal = random.standard_normal(present.shape)
        by_newton = random.uniform(size=present.shape) < 0.5
        proposed = np.where(
            by_newton, centre + normal / np.sqrt(information), present + WIDTH * normal
        )
        new_value, back, new_information = _newton(proposed, expand(proposed))
        of_newton = _log_normal(present - back, new_information)
        of_newton -= _log_normal(proposed - centre, information)
        log_ratio = new_value - value + np.where(by_newton, of_newton, 0.0)
        # A density that overflows is NaN, which compares false: not accepted.
        accepted = np.log(random.uniform(size=present.shape)) < log_ratio
    return np.where(accepted, proposed, present), accepted


def joint_step(
    present: np.ndarray, expand: Expand, random: np.random.Generator, expanded: Expansion
) -> tuple[np.ndarray, Expansion, bool]:
    """Return the next value of dependent parameters (d,), and whether they have moved.

    `expanded` is the expansion at the present value; that at the next one is returned. A Newton
    step moves all of them, a random step one.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        value, gradient, information = expanded
        centre, lower = _joint_newton(present, gradient, information)
        by_newton = random.uniform() < NEWTON_SHARE
        normal = random.standard_normal(present.size)
        if by_newton:
            proposed = centre + np.linalg.solve(lower.T, normal)
        else:
            proposed = present.copy()
            proposed[random.integers(present.size)] += WIDTH * normal[0]
        new_value, new_gradient, new_information = new_expanded = expand(proposed)
        log_ratio = new_value - value
        if not np.isfinite(log_ratio):
            return present, expanded, False
        if by_newton:
            back, new_lower = _joint_newton(proposed, new_gradient, new_information)
            log_ratio += _log_joint_normal(present - back, new_lower)
            log_ratio -= _log_joint_normal(proposed - centre, lower)
        accepted = bool(np.log(random.uniform()) < log_ratio)
    return (proposed, new_expanded, True) if accepted else (present, expanded, False)


def _joint_newton(
    point: np.ndarray, gradient: np.ndarray, information: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre of the proposal at a point, and the Cholesky factor of its precision."""
    lower = np.linalg.cholesky(information)
    step = np.linalg.solve(information, gradient)
    return point + np.clip(step, -LARGEST_STEP, LARGEST_STEP), lower


def _log_joint_normal(deviation: np.ndarray, lower: np.ndarray) -> float:
    return float(np.log(np.diag(lower)).sum() - 0.5 * ((lower.T @ deviation) ** 2).sum())


def _newton(points: np.ndarray, expanded: Expansion) -> Expansion:
    """Return log density, centre and precision of the proposal at points (n,)."""
    value, gradient, information = expanded
    information = np.maximum(information, LEAST_INFORMATION)
    step = np.clip(gradient / information, -LARGEST_STEP, LARGEST_STEP)
    return value, points + step, information


def _log_normal(deviation: np.ndarray, precision: np.ndarray) -> np.ndarray:
    density: np.ndarray = 0.5 * (np.log(precision) - precision * deviation**2)
    return density


def expand_prior(prior: Distribution, log_sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log density of log SDs under their prior, and its derivative."""
    return log_density_of_log(prior, log_sd), score(prior, np.exp(log_sd))


def draw_sd(
    present: float, squares: float, n: int, prior: Distribution, random: np.random.Generator
) -> float:
    """Return the next SD of n Normal effects with this sum of squares around their mean.

    Proposes from the posterior under a flat prior of log SD, squares / SD^2 ~ chi-squared(n).
    """
    proposed = np.sqrt(squares / (2 * random.standard_gamma(n / 2)))
    both = log_density_of_log(prior, np.log([proposed, present]))
    accepted = np.log(random.uniform()) < both[0] - both[1]
    return float(proposed) if accepted else present

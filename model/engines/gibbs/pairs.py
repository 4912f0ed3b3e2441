"""Draws of the SDs of gene-line pairs, by gene or one for all, their effects integrated out."""

from __future__ import annotations

import numpy as np
from numba import njit

from model.engines.gibbs.metropolis import (
    LARGEST_STEP,
    LEAST_INFORMATION,
    WIDTH,
    Expansion,
    expand_priors,
    joint_step,
)
from model.engines.gibbs.state import GibbsData, State
from model.likelihood.pair_sums import spread_sum, spread_sums

STEPS, SD_STEPS = 3, 6
"""Of log omega, and of the SDs they are drawn from, in a sweep: cheap beside the rest, and the
slowest of all to mix."""


def draw_spreads(data: GibbsData, state: State, random: np.random.Generator) -> float:
    """Draw omega_g of each gene, or one for all; return the share that moved."""
    weight, total = state.pair_sums(data)
    share_moved = 0.0
    if data.spec.pair_spread:
        shape = STEPS, len(state.log_omega)
        state.log_omega, n_moved = spread_steps(
            weight,
            total,
            state.log_omega,
            np.log(state.shared[data.spec.gene_line_sd]),
            state.shared[data.spec.pair_spread.sd] ** -2,
            random.standard_normal(shape),
            random.uniform(size=shape) < 0.5,
            np.log(random.uniform(size=shape)),
        )
        share_moved = n_moved / (STEPS * len(state.log_omega))
    moved_sds = _draw_sds(data, state, weight, total, random)
    return share_moved if data.spec.pair_spread else moved_sds


def _draw_sds(
    data: GibbsData,
    state: State,
    weight: np.ndarray,
    total: np.ndarray,
    random: np.random.Generator,
) -> float:
    """Draw the common SD of pairs and its spread over genes, with standardised spreads kept.

    As `model.engines.gibbs.line_sds`, and for the same reason. Returns the share of steps that
    moved them.
    """
    spread = data.spec.pair_spread
    names = [data.spec.gene_line_sd, *([spread.sd] if spread else [])]
    present = np.log([state.shared[name] for name in names])
    standard = state.log_omega - present[0]
    if spread:
        standard /= state.shared[spread.sd]
    rate, power = np.array([data.sd_priors[name] for name in names]).T

    def expand(log_sds: np.ndarray) -> Expansion:
        return expand_sds(weight, total, standard, log_sds, rate, power)

    expanded, n_moved = expand(present), 0
    for _ in range(SD_STEPS):
        present, expanded, moved = joint_step(present, expand, random, expanded)
        n_moved += moved
    state.log_omega = spread_around(standard, present)
    state.shared |= dict(zip(names, map(float, np.exp(present)), strict=True))
    return n_moved / SD_STEPS


@njit(cache=True, nogil=True, error_model="numpy")
def spread_steps(
    weight: np.ndarray,
    total: np.ndarray,
    log_omega: np.ndarray,
    centre: float,
    precision: float,
    normal: np.ndarray,
    by_newton: np.ndarray,
    log_uniform: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Return log omega_g (G,) after steps of each, and how many of the steps moved one.

    Each is Normal(`centre`, `precision`^-1/2) a priori. `weight` and `total` (G, C) are those of
    `pair_sums`; the others, (steps, G), are random. A proposal around a Newton step, where
    `by_newton`, else a random step.
    """
    log_omega, n_moved = log_omega.copy(), 0
    for g in range(log_omega.size):
        present = log_omega[g]
        value, newton, info = _expand_spread(weight[g], total[g], present, centre, precision)
        for step in range(len(normal)):
            z = normal[step, g]
            proposed = newton + z / np.sqrt(info) if by_newton[step, g] else present + WIDTH * z
            expanded = _expand_spread(weight[g], total[g], proposed, centre, precision)
            new_value, new_newton, new_info = expanded
            log_ratio = new_value - value
            if by_newton[step, g]:
                log_ratio += 0.5 * (np.log(new_info) - new_info * (present - new_newton) ** 2)
                log_ratio -= 0.5 * (np.log(info) - z * z)
            # A density that overflows is NaN, which compares false: not accepted.
            if log_uniform[step, g] < log_ratio:
                present, value, newton, info = proposed, new_value, new_newton, new_info
                n_moved += 1
        log_omega[g] = present
    return log_omega, n_moved


@njit(cache=True, nogil=True, error_model="numpy")
def _expand_spread(
    weight: np.ndarray, total: np.ndarray, log_omega: float, centre: float, precision: float
) -> tuple[float, float, float]:
    """Return the log density of one log omega, the Newton step from it, and its precision."""
    value, gradient, info = spread_sum(weight, total, log_omega)
    deviation = log_omega - centre
    gradient -= precision * deviation
    info = max(info + precision, LEAST_INFORMATION)
    step = min(max(gradient / info, -LARGEST_STEP), LARGEST_STEP)
    return value - 0.5 * precision * deviation**2, log_omega + step, info


@njit(cache=True)
def spread_around(standard: np.ndarray, log_sds: np.ndarray) -> np.ndarray:
    """Return log omega_g (G,) from standardised ones, the log of the SD of pairs and of its spread.

    Without the latter all genes lie as far from the former as they did.
    """
    spread = np.exp(log_sds[1]) if log_sds.size > 1 else 1.0
    return log_sds[0] + spread * standard


@njit(cache=True, nogil=True, error_model="numpy")
def expand_sds(
    weight: np.ndarray,
    total: np.ndarray,
    standard: np.ndarray,
    log_sds: np.ndarray,
    rate: np.ndarray,
    power: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return log density, gradient (d,) and information (d, d) of the log SDs.

    `weight` and `total` (G, C) are those of `pair_sums`, `rate` and `power` (d,) of the priors.
    """
    d = log_sds.size
    log_omega = spread_around(standard, log_sds)
    value, gradient, information = spread_sums(weight, total, log_omega)
    of_prior, by_sds = expand_priors(log_sds, rate, power)
    info = np.eye(d)
    along = np.ones(d)
    for g in range(log_omega.size):
        if d > 1:
            along[1] = log_omega[g] - log_sds[0]
        for i in range(d):
            by_sds[i] += along[i] * gradient[g]
            for j in range(d):
                info[i, j] += along[i] * along[j] * information[g]
    return value.sum() + of_prior, by_sds, info

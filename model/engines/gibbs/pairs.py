"""Draws of the SDs of gene-line pairs, by gene or one for all, their effects integrated out."""

from __future__ import annotations

import numpy as np

from model.engines.gibbs.compiled import part
from model.engines.gibbs.layout import ABSENT, Layout
from model.engines.gibbs.line_sds import LARGE
from model.engines.gibbs.metropolis import (
    LARGEST_STEP,
    LEAST_INFORMATION,
    NEWTON_SHARE,
    WIDTH,
    accepts,
    expand_priors,
    propose,
)
from model.engines.gibbs.small_matrices import copy_into
from model.engines.gibbs.state import Room, State, set_pair_sums
from model.likelihood.pair_sums import Screen
from model.likelihood.spread_sums import spread_sum, spread_sums

STEPS, SD_STEPS, SD_STEPS_LARGE = 3, 6, 2
"""Of log omega, and of the SDs they are drawn from, in a sweep: cheap beside the rest, and in a
small screen the slowest of all to mix."""


@part
def draw_spreads(
    screen: Screen, layout: Layout, state: State, room: Room, random: np.random.Generator
) -> float:
    """Draw omega_g of each gene, or one for all; return the share that moved."""
    set_pair_sums(screen, layout, state, room)
    if layout.pair_spread_sd == ABSENT:
        return _draw_sds(screen, layout, state, room, random)
    shape = STEPS, state.log_omega.size
    n_moved = spread_steps(
        room,
        state.log_omega,
        np.log(state.shared[layout.gene_line_sd]),
        state.shared[layout.pair_spread_sd] ** -2.0,
        random.standard_normal(shape),
        random.random(shape) < 0.5,
        np.log(random.random(shape)),
    )
    _draw_sds(screen, layout, state, room, random)
    return n_moved / (STEPS * state.log_omega.size)


@part
def _draw_sds(
    screen: Screen, layout: Layout, state: State, room: Room, random: np.random.Generator
) -> float:
    """Draw the common SD of pairs and its spread over genes, with standardised spreads kept.

    As `model.engines.gibbs.line_sds`, and for the same reason. Returns the share of steps that
    moved them.
    """
    sds = layout.gene_line_sd, layout.pair_spread_sd
    d = 1 if layout.pair_spread_sd == ABSENT else 2
    present, priors = np.zeros(d), np.zeros((d, 2))
    for i in range(d):
        present[i] = np.log(state.shared[sds[i]])
        copy_into(priors[i], layout.priors[sds[i]])
    spread = state.shared[layout.pair_spread_sd] if d > 1 else 1.0
    standard = (state.log_omega - present[0]) / spread
    expanded, n_moved = expand_sds(room, standard, present, priors), 0
    n_steps = SD_STEPS if screen.counts.size < LARGE else SD_STEPS_LARGE
    for _ in range(n_steps):
        proposal = propose(present, expanded, random, NEWTON_SHARE)
        new_expanded = expand_sds(room, standard, proposal.point, priors)
        if accepts(present, expanded, proposal, new_expanded, random):
            present, expanded = proposal.point, new_expanded
            n_moved += 1
    copy_into(state.log_omega, spread_around(standard, present))
    for i in range(d):
        state.shared[sds[i]] = np.exp(present[i])
    return n_moved / n_steps


@part
def spread_steps(
    room: Room,
    log_omega: np.ndarray,
    centre: float,
    precision: float,
    normal: np.ndarray,
    by_newton: np.ndarray,
    log_uniform: np.ndarray,
) -> int:
    """Take steps of each log omega_g (G,), in place; return how many of the steps moved one.

    Each is Normal(`centre`, `precision`^-1/2) a priori. The others, (steps, G), are random. A
    proposal around a Newton step, where `by_newton`, else a random step.
    """
    weight, total, n_moved = room.weight, room.total, 0
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
    return n_moved


@part
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


@part
def spread_around(standard: np.ndarray, log_sds: np.ndarray) -> np.ndarray:
    """Return log omega_g (G,) from standardised ones, the log of the SD of pairs and of its spread.

    Without the latter all genes lie as far from the former as they did.
    """
    spread = np.exp(log_sds[1]) if log_sds.size > 1 else 1.0
    return log_sds[0] + spread * standard


@part
def expand_sds(
    room: Room,
    standard: np.ndarray,
    log_sds: np.ndarray,
    priors: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return log density, gradient (d,) and information (d, d) of the log SDs.

    `priors` (d, 2) are their rows of `Layout.priors`.
    """
    d = log_sds.size
    log_omega = spread_around(standard, log_sds)
    value, gradient, information = spread_sums(room.weight, room.total, log_omega)
    of_prior, by_sds = expand_priors(log_sds, priors)
    info = np.zeros((d, d))
    for i in range(d):
        info[i, i] = 1
    along = np.ones(d)
    for g in range(log_omega.size):
        if d > 1:
            along[1] = log_omega[g] - log_sds[0]
        for i in range(d):
            by_sds[i] += along[i] * gradient[g]
            for j in range(d):
                info[i, j] += along[i] * along[j] * information[g]
    return value.sum() + of_prior, by_sds, info

"""Draws of the effect, the scale and the noise of each line, the effects of pairs integrated out.

Given the genes, lines are independent but for the scales, whose logs sum to 0. They are drawn in
random groups, each of which keeps its sum and is accepted on its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.engines.gibbs.compiled import part
from model.engines.gibbs.layout import ABSENT, Layout
from model.engines.gibbs.small_matrices import (
    copy_into,
    inverse_factors,
    log_diagonals,
    quadratic_forms,
    times,
    transposed_times,
)
from model.engines.gibbs.state import State, line_sums_of
from model.likelihood.line_sums import GAMMA, SCALE, LineSums
from model.likelihood.pair_sums import Screen

GROUP, GROUP_GENES = 6, 100
"""Lines of a group in a screen of at most so many genes: few, so that nearly every proposal is
accepted."""
LARGEST_SETTLING = 1.0
"""Of a step of a log scale or a log noise towards its mode."""


@part
def draw_lines(
    screen: Screen, layout: Layout, state: State, random: np.random.Generator
) -> tuple[float, LineSums]:
    """Draw gamma_c, log s_c and log sigma_c of every line.

    Returns the share that moved, and the sums of the lines afterwards.
    """
    n_lines = state.gamma.size
    # The scale of a line moves no further than those of its group allow, which is little for one
    # known less well; the more genes, the closer to Normal, and the more are accepted at once.
    size = int(GROUP * max(1.0, np.sqrt(screen.columns.shape[0] / GROUP_GENES)))
    group = np.arange(n_lines)
    _shuffle(group, random)
    group //= size
    n_groups = (n_lines - 1) // size + 1

    sums = line_sums_of(screen, layout, state)
    at = _expanded(layout, state, sums)
    move = transposed_times(at.factor, random.standard_normal(at.step.shape))
    _add(move, 1.0, at.step)
    if layout.scale_at != ABSENT:
        _keep_sum(move, at.factor, layout.scale_at, group, n_groups)
    forward = _log_proposal(layout.scale_at, move, 1.0, at, group, n_groups)
    _add(move, 1.0, at.present)
    _set(layout.of_line, state, move)
    _add(move, -1.0, at.present)
    new_sums = line_sums_of(screen, layout, state)
    to = _expanded(layout, state, new_sums)
    back = _log_proposal(layout.scale_at, move, -1.0, to, group, n_groups)
    log_ratio = _sum_by_group(to.value, group, n_groups) + back - forward
    log_ratio -= _sum_by_group(at.value, group, n_groups)
    accepted = np.log(random.random(n_groups)) < log_ratio
    present, n_accepted = to.present, 0
    for line in range(n_lines):
        if accepted[group[line]]:
            n_accepted += 1
            continue
        copy_into(present[line], at.present[line])
        new_sums[0][line] = sums[0][line]
        copy_into(new_sums[1][line], sums[1][line])
        copy_into(new_sums[2][line].ravel(), sums[2][line].ravel())
    _set(layout.of_line, state, present)
    return n_accepted / n_lines, new_sums


@part
def settle_lines(screen: Screen, layout: Layout, state: State) -> None:
    """Move the lines half a Newton step towards their mode, from a start far from it."""
    at = _expanded(layout, state, line_sums_of(screen, layout, state))
    step, shortened = at.step, 1.0
    if layout.scale_at != ABSENT:
        _keep_sum(step, at.factor, layout.scale_at, np.zeros(len(step), np.int64), 1)
    # All by the same factor, which keeps the sum of the scales. Far from the mode the density is
    # not nearly Normal: a scale or a noise would leave for a place without return.
    for i in range(layout.of_line.size):
        if layout.of_line[i] != GAMMA:
            for line in range(len(step)):
                size = 0.5 * abs(step[line, i])
                shortened = max(shortened, size / LARGEST_SETTLING)
    _add(at.present, 0.5 / shortened, step)
    _set(layout.of_line, state, at.present)


@part
def _shuffle(values: np.ndarray, random: np.random.Generator) -> None:
    """Shuffle an array (n,) in place, as NumPy does: its own function takes seconds to compile."""
    for i in range(values.size - 1, 0, -1):
        mask = 1
        while mask < i:
            mask = 2 * mask + 1
        j = random.integers(0, 1 << 32) & mask
        while j > i:
            j = random.integers(0, 1 << 32) & mask
        values[i], values[j] = values[j], values[i]


@part
def _add(values: np.ndarray, factor: float, others: np.ndarray) -> None:
    """Add a multiple of other values to values (C, d), in place."""
    for line in range(values.shape[0]):
        for i in range(values.shape[1]):
            values[line, i] += factor * others[line, i]


class _Expansion(NamedTuple):
    """The log density of each line around the present value of its d parameters."""

    present: np.ndarray
    """(C, d)."""
    value: np.ndarray
    """Log density (C,)."""
    step: np.ndarray
    """Newton step to the mode (C, d)."""
    precision: np.ndarray
    """(C, d, d)."""
    factor: np.ndarray
    """Inverse Cholesky factor of the precision (C, d, d)."""


@part
def _expanded(layout: Layout, state: State, sums: LineSums) -> _Expansion:
    shared, of_line = state.shared, layout.of_line
    value, score, information = sums
    n_lines, d = state.gamma.size, of_line.size
    present, gradient = np.zeros((n_lines, d)), np.zeros((n_lines, d))
    value, precision = value.copy(), np.zeros((n_lines, d, d))
    for i in range(d):
        if of_line[i] == GAMMA:
            values, sd = state.gamma, shared[layout.line_sd]
            centre = shared[layout.line_mean] if layout.line_mean != ABSENT else 0.0
        elif of_line[i] == SCALE:
            values, sd, centre = state.log_scale, shared[layout.line_scale_sd], 0.0
        else:
            values, sd = state.log_noise, shared[layout.line_noise_sd]
            centre = np.log(shared[layout.noise_sd])
        weight = sd**-2.0
        for line in range(n_lines):
            deviation = values[line] - centre
            present[line, i] = values[line]
            value[line] -= 0.5 * weight * deviation**2
            gradient[line, i] = score[line, of_line[i]] - weight * deviation
            for j in range(d):
                precision[line, i, j] = information[line, of_line[i], of_line[j]]
            precision[line, i, i] += weight
    factor = inverse_factors(precision, np.zeros(d))
    step = transposed_times(factor, times(factor, gradient))
    return _Expansion(present, value, step, precision, factor)


@part
def _set(of_line: np.ndarray, state: State, values: np.ndarray) -> None:
    for i in range(of_line.size):
        target = state.log_noise
        if of_line[i] == GAMMA:
            target = state.gamma
        elif of_line[i] == SCALE:
            target = state.log_scale
        for line in range(target.size):
            target[line] = values[line, i]


@part
def _covariance_with(factor: np.ndarray, column: int) -> np.ndarray:
    """Return the covariance of all parameters with one of them (C, d)."""
    return transposed_times(factor, factor[:, :, column].copy())


@part
def _sum_by_group(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    total = np.zeros(n_groups)
    for line in range(group.size):
        total[group[line]] += values[line]
    return total


@part
def _keep_sum(
    move: np.ndarray, factor: np.ndarray, column: int, group: np.ndarray, n_groups: int
) -> None:
    """Make Normal moves (C, d), in place, such that a column sums to 0 in every group."""
    covariance = _covariance_with(factor, column)
    total = _sum_by_group(move[:, column].copy(), group, n_groups)
    total /= _sum_by_group(covariance[:, column].copy(), group, n_groups)
    for line in range(group.size):
        for i in range(move.shape[1]):
            move[line, i] -= covariance[line, i] * total[group[line]]


@part
def _log_proposal(
    scale_at: int,
    move: np.ndarray,
    sign: float,
    around: _Expansion,
    group: np.ndarray,
    n_groups: int,
) -> np.ndarray:
    """Return the log density of moves (C, d) of a sign by group, given that they keep its sum."""
    deviation = np.zeros(move.shape)
    _add(deviation, sign, move)
    _add(deviation, -1.0, around.step)
    log_density = -0.5 * quadratic_forms(around.precision, deviation)
    log_density -= log_diagonals(around.factor)
    log_density = _sum_by_group(log_density, group, n_groups)
    if scale_at != ABSENT:
        covariance = _covariance_with(around.factor, scale_at)
        mean = _sum_by_group(around.step[:, scale_at].copy(), group, n_groups)
        variance = _sum_by_group(covariance[:, scale_at].copy(), group, n_groups)
        log_density += 0.5 * (np.log(variance) + mean**2 / variance)
    return log_density

"""Draws of the SDs of lines and of guide-line pairs, with what is standardised by them kept.

`model.engines.gibbs.shared` draws the SDs of effects, scale and noise over lines given these. Where
lines are nearly alike they determine each other and would move together only slowly. Here the
standardised deviations of the lines are kept instead, and every line moves with the SDs (Yu and
Meng 2011, To center or not to center, Journal of Computational and Graphical Statistics 20: the one
succeeds where the other is slow). sigma, which all noises share, and the SD of guide-line pairs are
drawn with them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.engines.gibbs.compiled import inlined, part
from model.engines.gibbs.layout import (
    ABSENT,
    ALONG_GAMMA,
    ALONG_NOISE,
    ALONG_SCALE,
    COMMON_NOISE,
    GUIDE_LINE_SD,
    Layout,
)
from model.engines.gibbs.metropolis import (
    NEWTON_SHARE,
    NEWTON_SHARE_LARGE,
    Expansion,
    accepts,
    expand_priors,
    propose,
)
from model.engines.gibbs.small_matrices import copy_into, inverse_factors, times, transposed_times
from model.engines.gibbs.state import State, line_sums_of
from model.likelihood.line_sums import GAMMA, GUIDE_LINE, NOISE, SCALE, LineSums
from model.likelihood.pair_sums import Screen

STEPS, LARGE = 3, 1_000_000
"""In a sweep; one in a screen of more guide-line pairs, where each costs more than it helps."""
LARGEST_SETTLING = 0.3
"""Of a step of a log SD towards its mode."""


_DERIVATIVES = np.zeros(5, np.int64)
"""Position among the derivatives of `pair_sums` of what an SD moves."""
_DERIVATIVES[COMMON_NOISE] = _DERIVATIVES[ALONG_NOISE] = NOISE
_DERIVATIVES[ALONG_GAMMA], _DERIVATIVES[ALONG_SCALE] = GAMMA, SCALE
_DERIVATIVES[GUIDE_LINE_SD] = GUIDE_LINE


@part
def draw_line_sds(
    screen: Screen, layout: Layout, state: State, sums: LineSums, random: np.random.Generator
) -> float:
    """Draw the SDs from the present sums of lines; return the share of steps that moved them."""
    standard = _standardised(layout, state)
    n_steps, share = STEPS, NEWTON_SHARE
    if screen.counts.size >= LARGE:
        n_steps, share = 1, NEWTON_SHARE_LARGE
    present, n_moved = _log_sds(layout, state), 0
    expanded = _expanded(layout, state, sums)
    for _ in range(n_steps):
        proposal = propose(present, expanded, random, share)
        _move_to(layout, state, standard, proposal.point)
        new_expanded = _expanded(layout, state, line_sums_of(screen, layout, state))
        if accepts(present, expanded, proposal, new_expanded, random):
            present, expanded = proposal.point, new_expanded
            n_moved += 1
    _move_to(layout, state, standard, present)
    return n_moved / n_steps


@part
def settle_line_sds(screen: Screen, layout: Layout, state: State) -> None:
    """Move the SDs towards their mode, from a start far from it."""
    standard = _standardised(layout, state)
    present = _log_sds(layout, state)
    sums = line_sums_of(screen, layout, state)
    _, gradient, information = _expanded(layout, state, sums)
    factor = inverse_factors(information[None], np.zeros(gradient.size))
    step = transposed_times(factor, times(factor, gradient[None]))[0]
    for i in range(step.size):
        present[i] += min(max(step[i], -LARGEST_SETTLING), LARGEST_SETTLING)
    _move_to(layout, state, standard, present)


class _Standardised(NamedTuple):
    """Deviations of lines over their SDs (C,), which stay as the SDs move."""

    gamma: np.ndarray
    log_noise: np.ndarray
    log_scale: np.ndarray


@part
def _standardised(layout: Layout, state: State) -> _Standardised:
    shared, n_lines = state.shared, state.gamma.size
    gamma, log_noise, log_scale = np.zeros(n_lines), np.zeros(n_lines), np.zeros(n_lines)
    mean, spread, of_scale = _mean(layout, state), 1.0, 1.0
    log_sd = np.log(shared[layout.noise_sd])
    if layout.line_noise_sd != ABSENT:
        spread = shared[layout.line_noise_sd]
    if layout.line_scale_sd != ABSENT:
        of_scale = shared[layout.line_scale_sd]
    for line in range(n_lines):
        gamma[line] = (state.gamma[line] - mean) / shared[layout.line_sd]
        log_noise[line] = (state.log_noise[line] - log_sd) / spread
        log_scale[line] = state.log_scale[line] / of_scale
    return _Standardised(gamma, log_noise, log_scale)


@inlined
def _mean(layout: Layout, state: State) -> float:
    return state.shared[layout.line_mean] if layout.line_mean != ABSENT else 0.0


@part
def _log_sds(layout: Layout, state: State) -> np.ndarray:
    log_sds = np.zeros(len(layout.moving))
    for i in range(log_sds.size):
        log_sds[i] = np.log(state.shared[layout.moving[i, 0]])
    return log_sds


@part
def _move_to(layout: Layout, state: State, standard: _Standardised, log_sds: np.ndarray) -> None:
    """Set the SDs of the state, and its lines with them."""
    shared = state.shared
    for i in range(log_sds.size):
        shared[layout.moving[i, 0]] = np.exp(log_sds[i])
    mean, spread, of_scale = _mean(layout, state), 1.0, 0.0
    log_sd = np.log(shared[layout.noise_sd])
    if layout.line_noise_sd != ABSENT:
        spread = shared[layout.line_noise_sd]
    if layout.line_scale_sd != ABSENT:
        of_scale = shared[layout.line_scale_sd]
    for line in range(state.gamma.size):
        state.gamma[line] = mean + shared[layout.line_sd] * standard.gamma[line]
        state.log_noise[line] = log_sd + spread * standard.log_noise[line]
        state.log_scale[line] = of_scale * standard.log_scale[line]


@part
def _expanded(layout: Layout, state: State, sums: LineSums) -> Expansion:
    """Return log density, gradient (d,) and information (d, d) of the present log SDs."""
    value, score, information = sums
    log_sds, mean = _log_sds(layout, state), _mean(layout, state)
    log_sd, d = np.log(state.shared[layout.noise_sd]), log_sds.size
    priors, of = np.zeros((d, 2)), np.zeros(d, np.int64)
    info, move = np.zeros((d, d)), np.ones(d)
    for i in range(d):
        sd, what = layout.moving[i, 0], layout.moving[i, 1]
        of[i] = _DERIVATIVES[what]
        copy_into(priors[i], layout.priors[sd])
        info[i, i] = 1
    total, gradient = expand_priors(log_sds, priors)
    for line in range(value.size):
        total += value[line]
        for i in range(d):
            what = layout.moving[i, 1]
            if what == ALONG_GAMMA:
                move[i] = state.gamma[line] - mean
            elif what == ALONG_NOISE:
                move[i] = state.log_noise[line] - log_sd
            elif what == ALONG_SCALE:
                move[i] = state.log_scale[line]
        for i in range(d):
            gradient[i] += move[i] * score[line, of[i]]
            for j in range(d):
                info[i, j] += move[i] * move[j] * information[line, of[i], of[j]]
    return total, gradient, info

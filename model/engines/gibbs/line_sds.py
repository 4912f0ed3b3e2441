"""Draws of the SDs of lines and of guide-line pairs, with what is standardised by them kept.

`model.engines.gibbs.shared` draws the SDs of effects, scale and noise over lines given these. Where
lines are nearly alike they determine each other and would move together only slowly. Here the
standardised deviations of the lines are kept instead, and every line moves with the SDs (Yu and
Meng 2011, To center or not to center, Journal of Computational and Graphical Statistics 20: the one
succeeds where the other is slow). sigma, which all noises share, and the SD of guide-line pairs are
drawn with them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from model.engines.gibbs.metropolis import (
    NEWTON_SHARE,
    NEWTON_SHARE_LARGE,
    Expansion,
    expand_priors,
    joint_step,
)
from model.engines.gibbs.state import GibbsData, LineSums, State
from model.likelihood.pair_sums import GAMMA, GUIDE_LINE, NOISE, SCALE

STEPS, LARGE = 3, 1_000_000
"""In a sweep; one in a screen of more guide-line pairs, where each costs more than it helps."""
LARGEST_SETTLING = 0.3
"""Of a step of a log SD towards its mode."""


def draw_line_sds(
    data: GibbsData, state: State, sums: LineSums, random: np.random.Generator
) -> float:
    """Draw the SDs from the present sums of lines; return the share of steps that moved them."""
    moves = _LineSds(data, state)
    present, expanded = moves.present, moves.expanded(sums)
    n_steps, share = (STEPS, NEWTON_SHARE) if data.count.size < LARGE else (1, NEWTON_SHARE_LARGE)
    n_moved = 0
    for _ in range(n_steps):
        present, expanded, moved = joint_step(present, moves.expand, random, expanded, share)
        n_moved += moved
    moves.move_to(present)
    return n_moved / n_steps


def settle_line_sds(data: GibbsData, state: State) -> None:
    """Move the SDs towards their mode, from a start far from it."""
    moves = _LineSds(data, state)
    _, gradient, information = moves.expanded(state.line_sums(data))
    step = np.linalg.solve(information, gradient)
    moves.move_to(moves.present + np.clip(step, -LARGEST_SETTLING, LARGEST_SETTLING))


class _LineSds:
    """Log SDs (d,) of a state that move its lines with them."""

    def __init__(self, data: GibbsData, state: State) -> None:
        spec, shared = data.spec, state.shared
        self._data, self._state = data, state
        moved = {spec.noise_sd: _COMMON_NOISE, spec.line_effect.sd: _GAMMA}
        if spec.line_noise:
            moved[spec.line_noise.sd] = _NOISE
        if spec.line_scale:
            moved[spec.line_scale.sd] = _SCALE
        moved[spec.guide_line_sd] = _GUIDE_LINE
        self._names, self._along = list(moved), np.array(list(moved.values()))
        rate, power = np.array([data.sd_priors[name] for name in moved]).T
        self._priors = rate, power
        self.present = np.log([shared[name] for name in self._names])
        self._noise = state.log_noise - np.log(shared[spec.noise_sd])
        if spec.line_noise:
            self._noise /= shared[spec.line_noise.sd]
        self._level = (state.gamma - self._mean()) / shared[spec.line_effect.sd]
        self._scale = state.log_scale / (shared[spec.line_scale.sd] if spec.line_scale else 1.0)

    def _mean(self) -> float:
        mean = self._data.spec.line_effect.mean
        return self._state.shared[mean] if mean else 0.0

    def move_to(self, log_sds: np.ndarray) -> None:
        """Set the SDs of the state, and its lines with them."""
        spec, state = self._data.spec, self._state
        shared = state.shared
        shared |= dict(zip(self._names, map(float, np.exp(log_sds)), strict=True))
        state.gamma = self._mean() + shared[spec.line_effect.sd] * self._level
        spread = shared[spec.line_noise.sd] if spec.line_noise else 1.0
        state.log_noise = np.log(shared[spec.noise_sd]) + spread * self._noise
        if spec.line_scale:
            state.log_scale = shared[spec.line_scale.sd] * self._scale

    def expand(self, log_sds: np.ndarray) -> Expansion:
        """Move to these log SDs; return log density, gradient (d,) and information (d, d) there."""
        self.move_to(log_sds)
        return self.expanded(self._state.line_sums(self._data))

    def expanded(self, sums: LineSums) -> Expansion:
        """Return the same for the present state and its sums of lines."""
        state, shared = self._state, self._state.shared
        log_sds = np.log([shared[name] for name in self._names])
        return expand_sds(
            *sums,
            self._along,
            log_sds,
            state.gamma - self._mean(),
            state.log_noise - np.log(shared[self._data.spec.noise_sd]),
            state.log_scale,
            *self._priors,
        )


_COMMON_NOISE, _GAMMA, _NOISE, _SCALE, _GUIDE_LINE = range(5)
"""What an SD moves: all noises alike, one of the three parameters of each line in proportion to its
deviation, or itself (that of guide-line pairs)."""


@njit(cache=True, nogil=True, error_model="numpy")
def expand_sds(
    value: np.ndarray,
    score: np.ndarray,
    information: np.ndarray,
    along: np.ndarray,
    log_sds: np.ndarray,
    gamma: np.ndarray,
    log_noise: np.ndarray,
    log_scale: np.ndarray,
    rate: np.ndarray,
    power: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return log density, gradient (d,) and information (d, d) of the log SDs.

    From value (C,), score (C, 4) and information (C, 4, 4) of the lines and their deviations (C,)
    from their centres. `along` (d,) says what an SD moves, `rate` and `power` (d,) are its prior's.
    """
    d = log_sds.size
    of_prior, gradient = expand_priors(log_sds, rate, power)
    info = np.eye(d)
    of = np.zeros(d, np.int64)
    for i in range(d):
        of[i] = (NOISE, GAMMA, NOISE, SCALE, GUIDE_LINE)[along[i]]
    move = np.ones(d)
    for line in range(value.size):
        for i in range(d):
            if along[i] == _GAMMA:
                move[i] = gamma[line]
            elif along[i] == _NOISE:
                move[i] = log_noise[line]
            elif along[i] == _SCALE:
                move[i] = log_scale[line]
        for i in range(d):
            gradient[i] += move[i] * score[line, of[i]]
            for j in range(d):
                info[i, j] += move[i] * move[j] * information[line, of[i], of[j]]
    return value.sum() + of_prior, gradient, info

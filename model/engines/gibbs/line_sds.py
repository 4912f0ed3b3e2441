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

from model.engines.gibbs.metropolis import Expansion, expand_prior, joint_step
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
    n_steps = STEPS if data.count.size < LARGE else 1
    n_moved = 0
    for _ in range(n_steps):
        present, expanded, moved = joint_step(present, moves.expand, random, expanded)
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
        factors = [factor.sd for factor in (spec.line_noise, spec.line_scale) if factor]
        self._names = [spec.noise_sd, spec.line_effect.sd, *factors, spec.guide_line_sd]
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
        spec, state = self._data.spec, self._state
        value, score, information = sums
        # How far each of gamma_c, log s_c, log sigma_c and log sigma_guide_line moves with each SD.
        along = np.zeros((len(self._names), *score.shape))
        along[0, :, NOISE] = 1
        along[1, :, GAMMA] = state.gamma - self._mean()
        along[-1, :, GUIDE_LINE] = 1
        if spec.line_noise:
            deviation = state.log_noise - np.log(state.shared[spec.noise_sd])
            along[self._names.index(spec.line_noise.sd), :, NOISE] = deviation
        if spec.line_scale:
            along[self._names.index(spec.line_scale.sd), :, SCALE] = state.log_scale
        priors = [
            expand_prior(getattr(self._data.priors, name), np.log(state.shared[name]))
            for name in self._names
        ]
        of_prior, by_prior = np.array(priors).T
        return (
            value.sum() + of_prior.sum(),
            np.einsum("dci,ci->d", along, score) + by_prior,
            np.einsum("dci,cij,ecj->de", along, information, along) + np.eye(len(self._names)),
        )

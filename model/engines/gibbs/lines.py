"""Draws of the effect, the scale and the noise of each line, the effects of pairs integrated out.

Given the genes, lines are independent but for the scales, whose logs sum to 0. They are drawn in
random groups, each of which keeps its sum and is accepted on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.engines.gibbs.small_matrices import (
    inverse_factors,
    log_diagonals,
    quadratic_forms,
    times,
    transposed_times,
)
from model.engines.gibbs.state import GibbsData, LineSums, State
from model.likelihood.pair_sums import GAMMA, NOISE, SCALE
from schemas.model_spec import ModelSpec

GROUP, GROUP_GENES = 6, 100
"""Lines of a group in a screen of at most so many genes: few, so that nearly every proposal is
accepted."""


def draw_lines(
    data: GibbsData, state: State, random: np.random.Generator
) -> tuple[float, LineSums]:
    """Draw gamma_c, log s_c and log sigma_c of every line.

    Returns the share that moved, and the sums of the lines afterwards.
    """
    spec = data.spec
    used = _used(spec)
    n_lines = len(state.gamma)
    # The scale of a line moves no further than those of its group allow, which is little for one
    # known less well; the more genes, the closer to Normal, and the more are accepted at once.
    size = int(GROUP * max(1.0, np.sqrt(data.shape[0] / GROUP_GENES)))
    group = random.permutation(n_lines) // size

    sums = state.line_sums(data)
    at = _expanded(data, state, used, sums)
    move = at.step + transposed_times(at.factor, random.standard_normal(at.step.shape))
    if spec.line_scale:
        move = _kept_sum(move, at.covariance_with(used.index(SCALE)), used.index(SCALE), group)
    forward = _log_proposal(move - at.step, at, used, group)
    _set(state, at.present + move, used)
    new_sums = state.line_sums(data)
    to = _expanded(data, state, used, new_sums)
    back = _log_proposal(-move - to.step, to, used, group)
    log_ratio = np.bincount(group, to.value - at.value) + back - forward
    accepted = (np.log(random.uniform(size=log_ratio.shape)) < log_ratio)[group]
    _set(state, np.where(accepted[:, None], to.present, at.present), used)
    of_value, of_score, of_information = zip(new_sums, sums, strict=True)
    return float(accepted.mean()), (
        np.where(accepted, *of_value),
        np.where(accepted[:, None], *of_score),
        np.where(accepted[:, None, None], *of_information),
    )


def settle_lines(data: GibbsData, state: State) -> None:
    """Move the lines half a Newton step towards their mode, from a start far from it."""
    spec = data.spec
    used = _used(spec)
    at = _expanded(data, state, used, state.line_sums(data))
    step = at.step
    if spec.line_scale:
        everybody = np.zeros(len(step), np.int64)
        column = used.index(SCALE)
        step = _kept_sum(step, at.covariance_with(column), column, everybody)
    _set(state, at.present + step / 2, used)


@dataclass(frozen=True)
class _Expansion:
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

    def covariance_with(self, column: int) -> np.ndarray:
        """Return the covariance of all parameters with one of them (C, d)."""
        return transposed_times(self.factor, np.ascontiguousarray(self.factor[:, :, column]))


def _used(spec: ModelSpec) -> list[int]:
    """Return the positions of the parameters that each line has."""
    return [GAMMA] + [SCALE] * bool(spec.line_scale) + [NOISE] * bool(spec.line_noise)


def _expanded(data: GibbsData, state: State, used: list[int], sums: LineSums) -> _Expansion:
    spec, shared = data.spec, state.shared
    value, score, information = sums
    line = spec.line_effect
    of_line = [(state.gamma, shared[line.mean] if line.mean else 0.0, shared[line.sd])]
    if spec.line_scale:
        of_line.append((state.log_scale, 0.0, shared[spec.line_scale.sd]))
    if spec.line_noise:
        of_line.append((state.log_noise, np.log(shared[spec.noise_sd]), shared[spec.line_noise.sd]))
    present = np.stack([values for values, _, _ in of_line], axis=1)
    deviation = present - [centre for _, centre, _ in of_line]
    weight = np.array([sd for _, _, sd in of_line]) ** -2
    own = np.array(used)
    gradient = score[:, own] - weight * deviation
    precision = information[:, own[:, None], own] + np.diag(weight)
    factor = inverse_factors(precision)
    return _Expansion(
        present=present,
        value=value - 0.5 * (weight * deviation**2).sum(axis=1),
        step=transposed_times(factor, times(factor, gradient)),
        precision=precision,
        factor=factor,
    )


def _set(state: State, values: np.ndarray, used: list[int]) -> None:
    by_position = dict(zip(used, values.T, strict=True))
    state.gamma = by_position[GAMMA].copy()
    if SCALE in used:
        state.log_scale = by_position[SCALE].copy()
    if NOISE in used:
        state.log_noise = by_position[NOISE].copy()


def _kept_sum(move: np.ndarray, covariance: np.ndarray, at: int, group: np.ndarray) -> np.ndarray:
    """Return Normal moves (C, d) given that column `at` sums to 0 in every group.

    `covariance` (C, d) is that of all columns with this one.
    """
    total = np.bincount(group, move[:, at]) / np.bincount(group, covariance[:, at])
    kept: np.ndarray = move - covariance * total[group][:, None]
    return kept


def _log_proposal(
    deviation: np.ndarray, around: _Expansion, used: list[int], group: np.ndarray
) -> np.ndarray:
    """Return the log density of the moves of each group, given that they keep its sum of scales."""
    squares = quadratic_forms(around.precision, deviation)
    log_density = np.bincount(group, -0.5 * squares - log_diagonals(around.factor))
    if SCALE in used:
        at = used.index(SCALE)
        mean = np.bincount(group, around.step[:, at])
        variance = np.bincount(group, around.covariance_with(at)[:, at])
        log_density += 0.5 * (np.log(variance) + mean**2 / variance)
    return log_density

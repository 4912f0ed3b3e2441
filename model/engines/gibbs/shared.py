"""Draws of what all genes or lines share, given their effects."""

from __future__ import annotations

import numpy as np

from model.engines.gibbs.compiled import inlined, part
from model.engines.gibbs.layout import ABSENT, COLUMN, MEAN, OF_GUIDES, OF_LINES, SD, Layout
from model.engines.gibbs.metropolis import draw_sd, log_prior_ratio
from model.engines.gibbs.state import State


@part
def draw_shared(layout: Layout, state: State, random: np.random.Generator) -> None:
    """Draw the means of lines, and all SDs of effects and factors."""
    shared, priors = state.shared, layout.priors
    if layout.line_mean != ABSENT:
        of_lines = shared[layout.line_sd] ** -2.0
        centre, width = priors[layout.line_mean, 0], priors[layout.line_mean, 1]
        precision = state.gamma.size * of_lines + width**-2.0
        total = state.gamma.sum() * of_lines + centre * width**-2.0
        drawn = (total + np.sqrt(precision) * random.standard_normal()) / precision
        shared[layout.line_mean] = drawn
        _shift_level(layout, state, random)

    for effect in layout.effects:
        values, sd = state.gamma, effect[SD]
        if effect[COLUMN] == OF_GUIDES:
            values = state.delta
        elif effect[COLUMN] != OF_LINES:
            values = state.effects[:, effect[COLUMN]].copy()
        mean = shared[effect[MEAN]] if effect[MEAN] != ABSENT else 0.0
        _draw_sd(shared, sd, values, mean, 0, priors, random)

    if layout.pair_spread_sd != ABSENT:
        sd, spread = layout.gene_line_sd, layout.pair_spread_sd
        _draw_centre(shared, sd, spread, state.log_omega, priors, random)
    if layout.line_noise_sd != ABSENT:
        sd, spread = layout.noise_sd, layout.line_noise_sd
        _draw_centre(shared, sd, spread, state.log_noise, priors, random)
    if layout.line_scale_sd != ABSENT:
        sd, n_fixed = layout.line_scale_sd, layout.zero_sum
        _draw_sd(shared, sd, state.log_scale, 0.0, n_fixed, priors, random)


@part
def _draw_sd(
    shared: np.ndarray,
    sd: int,
    values: np.ndarray,
    mean: float,
    n_fixed: int,
    priors: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Draw the SD of values around a mean, of which so many follow from the others."""
    n, squares = values.size - n_fixed, 0.0
    for value in values:
        squares += (value - mean) ** 2
    if n > 0:
        shared[sd] = draw_sd(shared[sd], squares, n, priors[sd], random)


@part
def _draw_centre(
    shared: np.ndarray,
    sd: int,
    spread: int,
    log_sds: np.ndarray,
    priors: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Draw an SD around which the SDs of genes or lines lie, and how far they lie from it.

    Proposes its log from a Normal around their mean: the posterior under a flat prior.
    """
    width = shared[spread] / np.sqrt(log_sds.size)
    proposed = np.exp(log_sds.sum() / log_sds.size + width * random.standard_normal())
    if np.log(random.random()) < log_prior_ratio(priors[sd], proposed, shared[sd]):
        shared[sd] = proposed
    _draw_sd(shared, spread, log_sds, np.log(shared[sd]), 0, priors, random)


@inlined
def _shift_level(layout: Layout, state: State, random: np.random.Generator) -> None:
    """Draw how the level of the screen splits between genes and lines.

    The likelihood is the same if t is added to every alpha_g and to their mean, and s_c t is
    subtracted from every gamma_c; t is Normal under the priors. Drawn twice, with the mean of the
    lines kept and with it shifted by -t: without such moves the split would wander slowly.
    """
    shared, level, line = state.shared, layout.normal[0, MEAN], layout.line_mean
    of_level, of_line = layout.priors[level, 1] ** -2.0, layout.priors[line, 1] ** -2.0
    for share in (0.0, 1.0):
        precision = of_level + share * of_line
        total = (layout.priors[level, 0] - shared[level]) * of_level
        total += share * (shared[line] - layout.priors[line, 0]) * of_line
        by_variance = shared[layout.line_sd] ** -2.0
        for c in range(state.gamma.size):
            along = np.exp(state.log_scale[c]) - share
            precision += along**2 * by_variance
            total += along * (state.gamma[c] - shared[line]) * by_variance
        t = (total + np.sqrt(precision) * random.standard_normal()) / precision
        for g in range(len(state.effects)):
            state.effects[g, 0] += t
        for c in range(state.gamma.size):
            state.gamma[c] -= np.exp(state.log_scale[c]) * t
        shared[level] += t
        shared[line] -= share * t

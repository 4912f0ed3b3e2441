"""Draws of what all genes or lines share, given their effects."""

from __future__ import annotations

import numpy as np

from model.engines.gibbs.metropolis import draw_sd, log_prior_ratio
from model.engines.gibbs.state import GibbsData, State


def draw_shared(data: GibbsData, state: State, random: np.random.Generator) -> None:
    """Draw the means of lines, and all SDs of effects and factors."""
    spec, shared = data.spec, state.shared
    line = spec.line_effect
    if line.mean:
        prior_mean, prior_sd = getattr(data.priors, line.mean).arguments
        precision = len(state.gamma) / shared[line.sd] ** 2 + prior_sd**-2
        total = state.gamma.sum() / shared[line.sd] ** 2 + prior_mean / prior_sd**2
        shared[line.mean] = (total + np.sqrt(precision) * random.standard_normal()) / precision
        _shift_level(data, state, random)

    of_effects = dict(zip((e.name for e in spec.gene_effects), state.effects.T, strict=True))
    of_effects |= {line.name: state.gamma}
    if spec.guide_effect:
        of_effects[spec.guide_effect.name] = state.delta
    for effect in spec.effects:
        if effect.sd:
            deviation = of_effects[effect.name] - (shared[effect.mean] if effect.mean else 0.0)
            _draw_sd(data, state, effect.sd, deviation, len(deviation), random)

    if spec.pair_spread:
        _draw_centre(data, state, spec.gene_line_sd, spec.pair_spread.sd, state.log_omega, random)
    if spec.line_noise:
        _draw_centre(data, state, spec.noise_sd, spec.line_noise.sd, state.log_noise, random)
    if spec.line_scale:
        n_free = len(state.log_scale) - spec.line_scale.zero_sum
        _draw_sd(data, state, spec.line_scale.sd, state.log_scale, n_free, random)


def _draw_sd(
    data: GibbsData,
    state: State,
    name: str,
    deviation: np.ndarray,
    n: int,
    random: np.random.Generator,
) -> None:
    if n > 0:
        squares = float((deviation**2).sum())
        state.shared[name] = draw_sd(state.shared[name], squares, n, data.sd_priors[name], random)


def _draw_centre(
    data: GibbsData,
    state: State,
    name: str,
    spread: str,
    log_sds: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Draw an SD around which the SDs of genes or lines lie, and how far they lie from it.

    Proposes its log from a Normal around their mean: the posterior under a flat prior.
    """
    shared = state.shared
    width = shared[spread] / np.sqrt(len(log_sds))
    proposed = float(np.exp(log_sds.mean() + width * random.standard_normal()))
    if np.log(random.uniform()) < log_prior_ratio(data.sd_priors[name], proposed, shared[name]):
        shared[name] = proposed
    _draw_sd(data, state, spread, log_sds - np.log(shared[name]), len(log_sds), random)


def _shift_level(data: GibbsData, state: State, random: np.random.Generator) -> None:
    """Draw how the level of the screen splits between genes and lines.

    The likelihood is the same if t is added to every alpha_g and to their mean, and s_c t is
    subtracted from every gamma_c; t is Normal under the priors. Drawn twice, with the mean of the
    lines kept and with it shifted by -t: without such moves the split would wander slowly.
    """
    spec, shared = data.spec, state.shared
    level, line = spec.gene_effects[0], spec.line_effect
    (m_a, s_a), (m_c, s_c) = (getattr(data.priors, e.mean).arguments for e in (level, line))
    for share in (0.0, 1.0):
        along = state.scale - share
        deviation = state.gamma - shared[line.mean]
        variance = shared[line.sd] ** 2
        precision = s_a**-2 + share * s_c**-2 + (along**2).sum() / variance
        total = (m_a - shared[level.mean]) / s_a**2 + (along * deviation).sum() / variance
        total += share * (shared[line.mean] - m_c) / s_c**2
        t = (total + np.sqrt(precision) * random.standard_normal()) / precision
        state.effects[:, 0] += t
        shared[level.mean] += t
        state.gamma = state.gamma - state.scale * t
        shared[line.mean] -= share * t

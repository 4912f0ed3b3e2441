"""Draws of what belongs to single genes: slopes, other effects, guides; of their means and SDs.

Given everything that genes share, genes are independent and their effects jointly Normal but for
the mixture prior of a slope. SDs are drawn with all other effects of the genes, their guides and
pairs integrated out; likewise the component of a slope, then the slope and the population means;
then the other effects. Draws of SDs given the effects alone (`model.engines.gibbs.shared`) would
hardly move where effects are known badly.
"""

from __future__ import annotations

import numpy as np

from model.engines.gibbs.metropolis import log_prior_ratio
from model.engines.gibbs.mixture import SMALLEST_PRECISION, above_zero, draw_slopes
from model.engines.gibbs.small_matrices import (
    inverse_factors,
    log_diagonals,
    times,
    transposed_times,
)
from model.engines.gibbs.state import GibbsData, State
from schemas.model_spec import Effect

STEP = 2.4
"""Typical step of a log SD, in SDs of its posterior if the effects were known."""
SMALLEST_SD = 1e-4
"""Log2: effects of a smaller SD are none, and their precision would swallow the data."""
STEPS_BETWEEN = -0.5, 1.0
"""Decimal logs of the factors between which the size of a step is drawn."""


def draw_effects(data: GibbsData, state: State, random: np.random.Generator) -> None:
    """Draw SDs and population means of effects, slopes, and effects of genes and guides."""
    spec, at = data.spec, data.spec.rna_column
    _, q, _ = data.shape
    gram, score = state.gene_sums(data)
    normal = np.arange(gram.shape[1])
    right = score
    if spec.mixture:
        normal = np.delete(normal, at)
        right = score[:, normal] - gram[:, normal, at] * state.effects[:, at, None]
    own = gram[:, normal[:, None], normal]
    inverse_factor = _draw_sds(data, state, own, right, random)
    precision, mean = _prior(data, state)
    if spec.mixture:
        coupled = times(inverse_factor, gram[:, normal, at])
        projected = times(inverse_factor, score[:, normal] + precision * mean)
        information = gram[:, at, at] - (coupled**2).sum(axis=1)
        slope_score = score[:, at] - (coupled * projected).sum(axis=1)
        slopes = draw_slopes(spec.mixture, state, information, slope_score, random)
        state.effects[:, at] = slopes
        right = score[:, normal] - gram[:, normal, at] * slopes[:, None]

    n_means = len(_own(data))
    _draw_means(data, state, inverse_factor, own, right, random)
    right = right + precision * _prior(data, state)[1]
    noise = random.standard_normal(right.shape)
    drawn = transposed_times(inverse_factor, times(inverse_factor, right) + noise)
    columns = [column for column in range(q) if column in normal]
    state.effects[:, columns] = drawn[:, :n_means]
    if spec.guide_effect:
        state.delta = drawn[data.guide_gene, n_means + data.slot]
    _rescale_slopes(data, state, gram, score, random)


def _own(data: GibbsData) -> list[Effect]:
    """Return the effects of genes with a Normal prior."""
    return [effect for effect in data.spec.gene_effects if effect.sd]


def _prior(data: GibbsData, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Return prior precisions and means of the Normal effects of a gene, then of its guides."""
    own, guide, shared = _own(data), data.spec.guide_effect, state.shared
    of_guide = shared[guide.sd] ** -2 if guide else 1.0
    precision = [shared[effect.sd] ** -2 for effect in own] + [of_guide] * data.most_guides
    mean = [shared[effect.mean] for effect in own] + [0.0] * data.most_guides
    return np.array(precision), np.array(mean)


def _draw_sds(
    data: GibbsData,
    state: State,
    gram: np.ndarray,
    right: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Draw the SDs of Normal effects; return the inverse Cholesky factors of their precisions.

    `gram` (G, p, p) and `right` (G, p) are what the data say of the effects. One SD at a time, by
    random steps of its log.
    """
    n_genes, n_guides = len(gram), len(data.guide_gene)
    guide = data.spec.guide_effect
    sizes = {effect.sd: n_genes for effect in _own(data)} | ({guide.sd: n_guides} if guide else {})
    value, inverse_factor = _marginal(data, state, gram, right)
    for name, n in sizes.items():
        present = state.shared[name]
        size = STEP / np.sqrt(2 * n) * 10 ** random.uniform(*STEPS_BETWEEN)
        proposed = float(present * np.exp(size * random.standard_normal()))
        state.shared[name] = proposed
        new_value, new_factor = _marginal(data, state, gram, right)
        log_ratio = new_value - value + log_prior_ratio(data.sd_priors[name], proposed, present)
        possible = proposed > min(SMALLEST_SD, present)
        if possible and np.log(random.uniform()) < log_ratio:
            value, inverse_factor = new_value, new_factor
        else:
            state.shared[name] = present
    return inverse_factor


def _marginal(
    data: GibbsData, state: State, gram: np.ndarray, right: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the log likelihood with the effects integrated out, and inverse Cholesky factors.

    With D the prior precision, m the prior mean and A = gram + D, but for a constant

        sum_g ((h + D m)' A^-1 (h + D m) - m' D m + log|D| - log|A|) / 2
    """
    precision, mean = _prior(data, state)
    inverse_factor = inverse_factors(gram + np.diag(precision))
    solved = times(inverse_factor, right + precision * mean)
    of_prior = 0.5 * len(gram) * (np.log(precision) - precision * mean**2).sum()
    value = 0.5 * (solved**2).sum() + log_diagonals(inverse_factor).sum() + of_prior
    return float(value), inverse_factor


def _rescale_slopes(
    data: GibbsData,
    state: State,
    gram: np.ndarray,
    score: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Draw the SD sigma of Normal slopes b_g = m + sigma u_g given their mean m and all u_g.

    Interweaving (Yu and Meng 2011, To center or not to center, Journal of Computational and
    Graphical Statistics 20): a draw given the slopes alone hardly moves where sigma is small beside
    their error. With the score h_g of a slope at m, all else as it is, sigma is

        Normal(sum_g u_g h_g / t, t^-1/2) above 0 x prior,   t = sum_g u_g^2 gram_g
    """
    _, q, _ = data.shape
    every = np.zeros(score.shape)
    every[:, :q] = state.effects
    every[data.guide_gene, q + data.slot] = state.delta
    for at, effect in enumerate(data.spec.gene_effects):
        if not (effect.covariate and effect.sd):
            continue
        mean, sd = state.shared[effect.mean], state.shared[effect.sd]
        own, deviation = gram[:, at, at], state.effects[:, at] - mean
        at_mean = score[:, at] - (gram[:, at] * every).sum(axis=1) + own * deviation
        standard = deviation / sd
        prior = getattr(data.priors, effect.sd)
        (argument,) = prior.arguments
        half_normal = prior.family == "HalfNormal"
        total = float(standard @ at_mean) - (0.0 if half_normal else argument)
        precision = float(standard**2 @ own) + (argument**-2 if half_normal else 0.0)
        root = np.sqrt(max(precision, SMALLEST_PRECISION))
        drawn = float(above_zero(np.array([total / root]), random)[0] / root)
        state.effects[:, at] = mean + drawn * standard
        state.shared[effect.sd] = drawn


def _draw_means(
    data: GibbsData,
    state: State,
    inverse_factor: np.ndarray,
    gram: np.ndarray,
    right: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Draw the population means of effects of genes, the effects integrated out.

    With D the prior precision and A = gram + D that of the effects, the log density of the means m
    is

        m' sum_g (D A^-1 h) - m' sum_g (D A^-1 gram) m / 2 + log prior

    as D - D A^-1 D = D A^-1 gram, which does not cancel where D is large.
    """
    names = [effect.mean for effect in _own(data)]
    n = len(names)
    precision = _prior(data, state)[0][:n]
    priors = [getattr(data.priors, name).arguments for name in names]
    centre, sd = (np.array(values) for values in zip(*priors, strict=True))

    def inverse_times(vectors: np.ndarray) -> np.ndarray:
        product = transposed_times(inverse_factor, times(inverse_factor, vectors))
        total: np.ndarray = product.sum(axis=0)[:n]
        return total

    solved = precision * inverse_times(right)
    information = np.stack([inverse_times(gram[:, :, j]) for j in range(n)], axis=1)
    information *= precision[:, None]
    total = np.diag(sd**-2.0) + (information + information.T) / 2
    lower = np.linalg.cholesky(total)
    mean = np.linalg.solve(total, solved + centre * sd**-2.0)
    drawn = mean + np.linalg.solve(lower.T, random.standard_normal(n))
    state.shared |= dict(zip(names, map(float, drawn), strict=True))

"""Draws of what belongs to single genes: slopes, other effects, guides; of their means and SDs.

Given everything that genes share, genes are independent and their effects jointly Normal but for
the mixture prior of a slope. SDs are drawn with all other effects of the genes, their guides and
pairs integrated out; likewise the component of a slope, then the slope and the population means;
then the other effects. Draws of SDs given the effects alone (`model.engines.gibbs.shared`) would
hardly move where effects are known badly.
"""

from __future__ import annotations

import numpy as np

from model.engines.gibbs.compiled import inlined, part
from model.engines.gibbs.half_normals import above_zero
from model.engines.gibbs.layout import ABSENT, COLUMN, MEAN, SD, SLOPE, Layout
from model.engines.gibbs.metropolis import log_prior_ratio
from model.engines.gibbs.mixture import SMALLEST_PRECISION, draw_slopes
from model.engines.gibbs.small_matrices import (
    inverse_factors,
    log_diagonals,
    times,
    transposed_times,
)
from model.engines.gibbs.state import State, gene_sums_of
from model.likelihood.pair_sums import Screen

STEP = 2.4
"""Typical step of a log SD, in SDs of its posterior if the effects were known."""
SMALLEST_SD = 1e-4
"""Log2: effects of a smaller SD are none, and their precision would swallow the data."""
FEWEST, MOST = -0.5, 1.0
"""Decimal logs of the factors between which the size of a step is drawn."""


@part
def draw_effects(screen: Screen, layout: Layout, state: State, random: np.random.Generator) -> None:
    """Draw SDs and population means of effects, slopes, and effects of genes and guides."""
    gram, score = gene_sums_of(screen, layout, state)
    normal, priors, shared, at = layout.normal, layout.priors, state.shared, layout.sparse
    own, right, across = gram, score, np.zeros((0, 0))
    if at != ABSENT:
        own, right, across = _without(gram, score, at)
        _add_multiples(right, -1.0, across, state.effects[:, at])
    n_guides = state.delta.size
    inverse_factor = _draw_sds(normal, priors, shared, own, right, n_guides, random)
    if at != ABSENT:
        _add_multiples(right, 1.0, across, state.effects[:, at])
        coupled = times(inverse_factor, across)
        projected = times(inverse_factor, _with_prior(normal, shared, right))
        information, slope_score = gram[:, at, at].copy(), score[:, at].copy()
        for g in range(len(coupled)):
            for i in range(coupled.shape[1]):
                information[g] -= coupled[g, i] ** 2
                slope_score[g] -= coupled[g, i] * projected[g, i]
        draw_slopes(layout, state, information, slope_score, random)
        _add_multiples(right, -1.0, across, state.effects[:, at])

    _draw_means(normal, priors, shared, inverse_factor, own, right, random)
    standard = times(inverse_factor, _with_prior(normal, shared, right))
    noise = random.standard_normal(right.shape)
    _add_multiples(standard, 1.0, noise, np.ones(len(noise)))
    drawn = transposed_times(inverse_factor, standard)
    n_means = len(normal) - 1
    for i in range(n_means):
        for g in range(len(drawn)):
            state.effects[g, normal[i, COLUMN]] = drawn[g, i]
    for k in range(n_guides):
        state.delta[k] = drawn[screen.guide_gene[k], n_means + screen.slot[k]]
    _rescale_slopes(screen, layout, state, gram, score, random)


@inlined
def _without(
    gram: np.ndarray, score: np.ndarray, at: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return information (G, p, p) and score (G, p) without one effect, and the column of it."""
    n_genes, p = len(score), score.shape[1] - 1
    own, right, across = np.zeros((n_genes, p, p)), np.zeros((n_genes, p)), np.zeros((n_genes, p))
    for g in range(n_genes):
        for i in range(p):
            row = i + (i >= at)
            across[g, i], right[g, i] = gram[g, row, at], score[g, row]
            for j in range(p):
                own[g, i, j] = gram[g, row, j + (j >= at)]
    return own, right, across


@part
def _add_multiples(values: np.ndarray, sign: float, rows: np.ndarray, factors: np.ndarray) -> None:
    """Add a multiple of each row to values (G, p), in place."""
    for g in range(len(values)):
        for i in range(values.shape[1]):
            values[g, i] += sign * factors[g] * rows[g, i]


@part
def _precision(normal: np.ndarray, shared: np.ndarray, p: int) -> np.ndarray:
    """Return prior precisions (p,) of the Normal effects of a gene, then of its guides."""
    precision = np.zeros(p)
    for i in range(p):
        precision[i] = shared[normal[min(i, len(normal) - 1), SD]] ** -2.0
    return precision


@part
def _with_prior(normal: np.ndarray, shared: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return scores (G, p) with the prior added: the product of its precision and its mean."""
    total = right.copy()
    for i in range(len(normal) - 1):
        of_prior = shared[normal[i, SD]] ** -2.0 * shared[normal[i, MEAN]]
        for g in range(len(right)):
            total[g, i] += of_prior
    return total


@part
def _draw_sds(
    normal: np.ndarray,
    priors: np.ndarray,
    shared: np.ndarray,
    gram: np.ndarray,
    right: np.ndarray,
    n_guides: int,
    random: np.random.Generator,
) -> np.ndarray:
    """Draw the SDs of Normal effects; return the inverse Cholesky factors of their precisions.

    `gram` (G, p, p) and `right` (G, p) are what the data say of the effects. One SD at a time, by
    random steps of its log.
    """
    value, inverse_factor = _marginal(normal, shared, gram, right)
    for i in range(len(normal)):
        sd, n = normal[i, SD], len(gram) if i < len(normal) - 1 else n_guides
        present = shared[sd]
        size = STEP / np.sqrt(2 * n) * 10 ** random.uniform(FEWEST, MOST)
        proposed = present * np.exp(size * random.standard_normal())
        shared[sd] = proposed
        new_value, new_factor = _marginal(normal, shared, gram, right)
        log_ratio = new_value - value + log_prior_ratio(priors[sd], proposed, present)
        possible = proposed > min(SMALLEST_SD, present)
        if possible and np.log(random.random()) < log_ratio:
            value, inverse_factor = new_value, new_factor
        else:
            shared[sd] = present
    return inverse_factor


@part
def _marginal(
    normal: np.ndarray, shared: np.ndarray, gram: np.ndarray, right: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the log likelihood with the effects integrated out, and inverse Cholesky factors.

    With D the prior precision, m the prior mean and A = gram + D, but for a constant

        sum_g ((h + D m)' A^-1 (h + D m) - m' D m + log|D| - log|A|) / 2
    """
    precision = _precision(normal, shared, right.shape[1])
    inverse_factor = inverse_factors(gram, precision)
    solved = times(inverse_factor, _with_prior(normal, shared, right))
    value = log_diagonals(inverse_factor).sum()
    for i in range(precision.size):
        mean = shared[normal[i, MEAN]] if i < len(normal) - 1 else 0.0
        value += 0.5 * len(gram) * (np.log(precision[i]) - precision[i] * mean**2)
    for of_gene in solved:
        for x in of_gene:
            value += 0.5 * x * x
    return value, inverse_factor


@inlined
def _rescale_slopes(
    screen: Screen,
    layout: Layout,
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
    n_genes, q = state.effects.shape
    every = np.zeros(score.shape)
    for at in range(q):
        for g in range(n_genes):
            every[g, at] = state.effects[g, at]
    for k in range(state.delta.size):
        every[screen.guide_gene[k], q + screen.slot[k]] = state.delta[k]
    for i in range(len(layout.normal) - 1):
        effect = layout.normal[i]
        if not effect[SLOPE]:
            continue
        at, sd = effect[COLUMN], effect[SD]
        mean, present = state.shared[effect[MEAN]], state.shared[sd]
        # rate sigma^power of the prior: linear in sigma if exponential, quadratic if half-normal.
        rate, power = layout.priors[sd, 0], layout.priors[sd, 1]
        total, precision = (0.0, 2 * rate) if power == 2 else (-rate, 0.0)
        for g in range(n_genes):
            at_mean = score[g, at]
            for j in range(score.shape[1]):
                if j != at:
                    at_mean -= gram[g, at, j] * every[g, j]
            at_mean -= gram[g, at, at] * mean
            standard = (state.effects[g, at] - mean) / present
            total += standard * at_mean
            precision += standard**2 * gram[g, at, at]
        root = np.sqrt(max(precision, SMALLEST_PRECISION))
        drawn = above_zero(total / root, random.random()) / root
        for g in range(n_genes):
            state.effects[g, at] = mean + drawn * ((state.effects[g, at] - mean) / present)
        state.shared[sd] = drawn


@part
def _draw_means(
    normal: np.ndarray,
    priors: np.ndarray,
    shared: np.ndarray,
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
    n = len(normal) - 1
    score, information = np.zeros((1, n)), np.zeros((1, n, n))
    precision, of_prior = _precision(normal, shared, n), np.zeros(n)
    solved = _sum_solved(inverse_factor, right)
    for i in range(n):
        centre, width = priors[normal[i, MEAN], 0], priors[normal[i, MEAN], 1]
        of_prior[i] = width**-2.0
        score[0, i] = precision[i] * solved[i] + centre * of_prior[i]
    for j in range(n):
        solved = _sum_solved(inverse_factor, gram[:, :, j].copy())
        for i in range(n):
            half = precision[i] * solved[i] / 2
            information[0, i, j] += half
            information[0, j, i] += half
    factor = inverse_factors(information, of_prior)
    standard = times(factor, score)
    noise = random.standard_normal(n)
    for i in range(n):
        standard[0, i] += noise[i]
    drawn = transposed_times(factor, standard)
    for i in range(n):
        shared[normal[i, MEAN]] = drawn[0, i]


@part
def _sum_solved(inverse_factor: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the sum over genes of A^-1 times a vector (p,)."""
    total = np.zeros(vectors.shape[1])
    for of_gene in transposed_times(inverse_factor, times(inverse_factor, vectors)):
        for i in range(total.size):
            total[i] += of_gene[i]
    return total

"""Draws of slopes from their mixture prior, and of its weights, given the data of each gene.

A gene tells of its slope b by an information and a score (G,): its likelihood is proportional to
exp(score b - information b^2 / 2).
"""

from __future__ import annotations

import numpy as np

from model.engines.gibbs.compiled import inlined, part
from model.engines.gibbs.half_normals import (
    above_zero,
    relative_log_likelihoods,
    scaled_likelihoods,
)
from model.engines.gibbs.layout import Layout
from model.engines.gibbs.state import State
from model.likelihood.pair_sums import summing
from schemas.model_spec import Mixture

SMALLEST_PRECISION = 1e-9
"""Of a slope on RNA that does not vary: its prior decides."""
TURNS = 2
"""Draws of components and weights in turns in a sweep."""
ROUNDS, MANY_GENES, ROUNDS_OF_MANY = 8, 1000, 32
"""Of steps of all pairs of weights in a sweep. The weights of many genes mix slowest of all, and
the steps are cheap beside the rest."""
NARROWEST, WIDEST = -1.5, 0.5
"""Decimal logs of the widths between which steps of the logit of two weights are drawn."""
_LARGEST_PRODUCT, _AT_ONCE = 1e120, 16
"""Of factors, before its log is taken, one log for many of them; factors between two looks."""


@part
def draw_slopes(
    layout: Layout,
    state: State,
    information: np.ndarray,
    score: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Draw weights and components of the mixture, and the slopes, into the state.

    The slopes are integrated out until the end. Weights and components are drawn in turns, then
    weights with the components integrated out as well: neighbouring components are so alike that
    turns alone would wander slowly.
    """
    for g in range(score.size):
        information[g] = max(information[g], SMALLEST_PRECISION)
    likelihoods = scaled_likelihoods(layout.components[:, 0].copy(), information, score)
    for _ in range(TURNS):
        _draw_components(state.component, state.prob_nonzero, state.weights, likelihoods, random)
        _draw_weights(layout, state, random)
    _exchange_weights(layout, state, likelihoods, random)
    _draw_components(state.component, state.prob_nonzero, state.weights, likelihoods, random)

    for g in range(score.size):
        uniform, component = random.random(), state.component[g]
        slope = 0.0
        if component > 0:
            signed_scale = layout.components[component, 0]
            root, sign = np.sqrt(information[g] + signed_scale**-2.0), np.sign(signed_scale)
            slope = sign * above_zero(sign * score[g] / root, uniform) / root
        state.effects[g, layout.sparse] = slope


def component_log_likelihoods(
    mixture: Mixture, information: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """Return the log likelihood of each component of each slope, relative to a slope of 0.

    (G, components); the equation is that of `half_normals.relative_log_likelihoods`.
    """
    relative: np.ndarray = relative_log_likelihoods(
        np.array(mixture.signed_scales),
        np.ascontiguousarray(information, float),
        np.ascontiguousarray(score, float),
    )
    return relative


def component_probabilities(log_likelihoods: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the probability of each component of each slope given the weights, both as above."""
    with np.errstate(divide="ignore"):
        relative = log_likelihoods + np.log(weights)
    relative = np.exp(relative - relative.max(axis=1, keepdims=True))
    return relative / relative.sum(axis=1, keepdims=True)


@part
def _draw_components(
    component_of: np.ndarray,
    prob_nonzero: np.ndarray,
    weights: np.ndarray,
    likelihoods: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Draw the component of each slope, and the probability that it is not the first.

    `likelihoods` (components, G) may have a factor by gene.
    """
    n_components, n_genes = likelihoods.shape
    for g in range(n_genes):
        total = 0.0
        for j in range(n_components):
            total += likelihoods[j, g] * weights[j]
        below, component = likelihoods[0, g] * weights[0], 0
        prob_nonzero[g] = 1 - below / total
        uniform = random.random()
        while uniform * total > below and component < n_components - 1:
            component += 1
            below += likelihoods[component, g] * weights[component]
        component_of[g] = component


@inlined
def _draw_weights(layout: Layout, state: State, random: np.random.Generator) -> None:
    """Draw the weights given the components: a Dirichlet draw, made of those of gammas."""
    concentrations = layout.components[:, 1].copy()
    for component in state.component:
        concentrations[component] += 1
    for j in range(concentrations.size):
        state.weights[j] = random.standard_gamma(concentrations[j])
    _normalise(state.weights)


@part
def _normalise(weights: np.ndarray) -> None:
    total = weights.sum()
    for j in range(weights.size):
        weights[j] /= total


@inlined
def _exchange_weights(
    layout: Layout, state: State, likelihoods: np.ndarray, random: np.random.Generator
) -> None:
    """Take a Metropolis step of the logit of each pair of weights, one after the other.

    `likelihoods` (components, G) may have a factor by gene.
    """
    components, weights, n_genes = layout.components, state.weights, likelihoods.shape[1]
    n_pairs = len(layout.exchanges)
    n_steps = n_pairs * (ROUNDS if n_genes < MANY_GENES else ROUNDS_OF_MANY)
    log_width = random.uniform(NARROWEST, WIDEST, n_steps)
    normal, uniform = random.standard_normal(n_steps), random.random(n_steps)
    total = np.zeros(n_genes)
    for j in range(weights.size):
        for g in range(n_genes):
            total[g] += likelihoods[j, g] * weights[j]
    by_total = 1 / total
    for step in range(n_steps):
        i, j = layout.exchanges[step % n_pairs]
        both = weights[i] + weights[j]
        if weights[i] == 0 or weights[j] == 0:
            continue
        logit = np.log(weights[i] / weights[j])
        new_logit = logit + 10.0 ** log_width[step] * normal[step]
        share = 1 / (1 + np.exp(-new_logit))
        change = both * share - weights[i]
        # Prior and Jacobian: share^a (1 - share)^b on the scale of the logit.
        log_ratio = components[i, 1] * (np.log1p(np.exp(-logit)) - np.log1p(np.exp(-new_logit)))
        log_ratio += components[j, 1] * (np.log1p(np.exp(logit)) - np.log1p(np.exp(new_logit)))
        log_ratio += _log_product(likelihoods[i], likelihoods[j], change, by_total)
        if np.log(uniform[step]) < log_ratio:
            weights[i], weights[j] = both * share, both * (1 - share)
            for g in range(n_genes):
                total[g] += change * (likelihoods[i, g] - likelihoods[j, g])
            for g in range(n_genes):
                by_total[g] = 1 / total[g]
    _normalise(weights)


@summing
def _log_product(
    gaining: np.ndarray, losing: np.ndarray, change: float, by_total: np.ndarray
) -> float:
    """Return by how much the log of the product of all totals changes with the weights of two.

    `by_total` (G,) are one over the totals of the genes.
    """
    logs, product, n_genes = 0.0, 1.0, by_total.size
    n_full = n_genes - n_genes % _AT_ONCE
    for first in range(0, n_full, _AT_ONCE):
        for g in range(first, first + _AT_ONCE):
            product *= 1 + change * (gaining[g] - losing[g]) * by_total[g]
        if not 1 / _LARGEST_PRODUCT < product < _LARGEST_PRODUCT:
            logs += np.log(product)
            product = 1.0
    for g in range(n_full, n_genes):
        product *= 1 + change * (gaining[g] - losing[g]) * by_total[g]
    return logs + np.log(product)

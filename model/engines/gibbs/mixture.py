"""Draws of slopes from their mixture prior, and of its weights, given the data of each gene.

A gene tells of its slope b by an information and a score (G,): its likelihood is proportional to
exp(score b - information b^2 / 2).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from scipy import special

from model.engines.gibbs.state import State
from schemas.model_spec import Mixture

SMALLEST_PRECISION = 1e-9
"""Of a slope on RNA that does not vary: its prior decides."""
TURNS = 2
"""Draws of components and weights in turns in a sweep."""
ROUNDS = 8
"""Of steps of all pairs of weights in a sweep: cheap beside the rest."""
WIDTHS = -1.5, 0.5
"""Decimal logs of the widths between which steps of the logit of two weights are drawn."""


def draw_slopes(
    mixture: Mixture,
    state: State,
    information: np.ndarray,
    score: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Draw weights and components of the mixture into the state; return the slopes (G,).

    The slopes are integrated out until the end. Weights and components are drawn in turns, then
    weights with the components integrated out as well: neighbouring components are so alike that
    turns alone would wander slowly.
    """
    information = np.maximum(information, SMALLEST_PRECISION)
    log_likelihoods = component_log_likelihoods(mixture, information, score)
    likelihoods = np.exp(log_likelihoods - log_likelihoods.max(axis=1, keepdims=True))
    for _ in range(TURNS):
        _draw_components(state, likelihoods, random)
        counts = np.bincount(state.component, minlength=mixture.n_components)
        state.weights = random.dirichlet(mixture.concentrations + counts)
    _exchange_weights(mixture, state, likelihoods, random)
    _draw_components(state, likelihoods, random)

    scale, sign = np.abs(mixture.signed_scales[1:]), np.sign(mixture.signed_scales[1:])
    nonzero = np.maximum(state.component - 1, 0)
    precision = information + scale[nonzero] ** -2
    size = above_zero(sign[nonzero] * score / np.sqrt(precision), random) / np.sqrt(precision)
    return np.where(state.component > 0, sign[nonzero] * size, 0.0)


def above_zero(mean: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return draws of Normal(mean, 1) cut at 0, by the inverse of its upper tail."""
    log_tail = np.log(random.uniform(size=mean.shape)) + special.log_ndtr(mean)
    return np.maximum(mean - special.ndtri_exp(log_tail), 0)


def component_log_likelihoods(
    mixture: Mixture, information: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """Return the log likelihood of each component of each slope, relative to a slope of 0.

    (G, components). With precision t = information + 1 / scale^2 and z = score / sqrt(t), that of
    the half-normal on the side of sign d is

        2 (1 + scale^2 information)^-1/2 exp(z^2 / 2) Phi(d z)
    """
    scale, sign = np.abs(mixture.signed_scales[1:]), np.sign(mixture.signed_scales[1:])
    z = score[:, None] / np.sqrt(information[:, None] + scale**-2)
    relative = np.zeros((len(score), mixture.n_components))
    relative[:, 1:] = (
        np.log(2)
        - 0.5 * np.log1p(scale**2 * information[:, None])
        + 0.5 * z**2
        + special.log_ndtr(sign * z)
    )
    return relative


def component_probabilities(log_likelihoods: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the probability of each component of each slope given the weights, both as above."""
    with np.errstate(divide="ignore"):
        relative = log_likelihoods + np.log(weights)
    relative = np.exp(relative - relative.max(axis=1, keepdims=True))
    return relative / relative.sum(axis=1, keepdims=True)


def _draw_components(state: State, likelihoods: np.ndarray, random: np.random.Generator) -> None:
    uniform = random.uniform(size=len(likelihoods))
    state.component, state.prob_nonzero = _components(likelihoods, state.weights, uniform)


@njit(cache=True, nogil=True, error_model="numpy")
def _components(
    likelihoods: np.ndarray, weights: np.ndarray, uniform: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a component of each slope (G,), and the probability that it is not the first.

    `likelihoods` (G, components) may have a factor by gene; `uniform` (G,) are random.
    """
    n_genes, n_components = likelihoods.shape
    component = np.zeros(n_genes, np.int64)
    prob_nonzero = np.zeros(n_genes)
    for g in range(n_genes):
        total = 0.0
        for j in range(n_components):
            total += likelihoods[g, j] * weights[j]
        below = likelihoods[g, 0] * weights[0]
        prob_nonzero[g] = 1 - below / total
        while uniform[g] * total > below and component[g] < n_components - 1:
            component[g] += 1
            below += likelihoods[g, component[g]] * weights[component[g]]
    return component, prob_nonzero


def _exchange_weights(
    mixture: Mixture, state: State, likelihoods: np.ndarray, random: np.random.Generator
) -> None:
    """Move weight between pairs of components, all of them ROUNDS times."""
    pairs = _pairs(len(mixture.scales))
    steps = 10.0 ** random.uniform(*WIDTHS, len(pairs)) * random.standard_normal(len(pairs))
    state.weights = _exchanged(
        likelihoods,
        state.weights,
        np.array(mixture.concentrations),
        pairs,
        steps,
        np.log(random.uniform(size=len(pairs))),
    )


@cache
def _pairs(n_scales: int) -> np.ndarray:
    """Return 0 with each component, neighbours, and components of opposite signs, ROUNDS times."""
    nonzero = range(1, 1 + 2 * n_scales)
    pairs = (
        [(0, j) for j in nonzero]
        + [(j, j + 1) for j in nonzero if j % n_scales]
        + [(j, j + n_scales) for j in nonzero[:n_scales]]
    )
    return np.tile(pairs, (ROUNDS, 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _exchanged(
    likelihoods: np.ndarray,
    weights: np.ndarray,
    concentrations: np.ndarray,
    pairs: np.ndarray,
    steps: np.ndarray,
    log_uniform: np.ndarray,
) -> np.ndarray:
    """Return the weights after a Metropolis step of the logit of each pair, one after the other.

    `likelihoods` (G, components) may have a factor by gene.
    """
    weights = weights.copy()
    total = likelihoods @ weights
    for at in range(len(pairs)):
        i, j = pairs[at]
        both = weights[i] + weights[j]
        if weights[i] == 0 or weights[j] == 0:
            continue
        logit = np.log(weights[i] / weights[j])
        new_logit = logit + steps[at]
        share = 1 / (1 + np.exp(-new_logit))
        change = both * share - weights[i]
        # Prior and Jacobian: share^a (1 - share)^b on the scale of the logit.
        log_ratio = concentrations[i] * (np.log1p(np.exp(-logit)) - np.log1p(np.exp(-new_logit)))
        log_ratio += concentrations[j] * (np.log1p(np.exp(logit)) - np.log1p(np.exp(new_logit)))
        product = 1.0
        for g in range(len(total)):
            product *= 1 + change * (likelihoods[g, i] - likelihoods[g, j]) / total[g]
            if not 1e-120 < product < 1e120:
                log_ratio += np.log(product)
                product = 1.0
        log_ratio += np.log(product)
        if log_uniform[at] < log_ratio:
            weights[i], weights[j] = both * share, both * (1 - share)
            for g in range(len(total)):
                total[g] += change * (likelihoods[g, i] - likelihoods[g, j])
    return weights / weights.sum()

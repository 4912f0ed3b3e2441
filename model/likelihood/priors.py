"""The families of priors: density, its derivative, random draws; the mixture and the factors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from schemas.model_spec import Factor, Mixture
from schemas.parameters import Distribution


def draw(
    prior: Distribution, size: int | tuple[int, ...], random: np.random.Generator
) -> np.ndarray:
    """Return draws from a prior, an array of this size; () gives a single number."""
    match prior.family:
        case "Normal":
            mean, sd = prior.arguments
            return random.normal(mean, sd, size)
        case "Exponential":
            return random.exponential(1 / prior.arguments[0], size)
        case "HalfNormal":
            return np.abs(random.normal(0, prior.arguments[0], size))


def log_density_of_log(prior: Distribution, log_sd: np.ndarray) -> np.ndarray:
    """Return the log density of log(sd) under the prior of a standard deviation."""
    rate, power = rate_and_power(prior)
    constant = np.log(rate) if power == 1 else 0.5 * np.log(4 * rate / np.pi)
    return constant + log_sd - rate * np.exp(power * log_sd)


def rate_and_power(prior: Distribution) -> tuple[float, int]:
    """Return a and p of the prior of an SD: the log density of log sd is log sd - a sd^p + const.

    Raises ValueError for a prior of something else.
    """
    match prior.family:
        case "Exponential":
            return prior.arguments[0], 1
        case "HalfNormal":
            return 0.5 * prior.arguments[0] ** -2, 2
    raise ValueError(f"no density for {prior}")


def score(prior: Distribution, values: np.ndarray) -> np.ndarray:
    """Return the derivative of a log prior; for SDs by their logs, with the Jacobian."""
    match prior.family:
        case "Normal":
            mean, sd = prior.arguments
            return (mean - values) / sd**2
        case "Exponential":
            return 1 - prior.arguments[0] * values
        case "HalfNormal":
            return 1 - (values / prior.arguments[0]) ** 2


def draw_slopes(
    mixture: Mixture, name: str, shape: tuple[int, int], random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return draws of the slopes `name` (S, G) from the mixture prior, and of its weights.

    With them the probability that each slope is not 0, which without data is that of the weights.
    """
    n_draws, n_genes = shape
    weights = random.dirichlet(mixture.concentrations, n_draws)
    below = weights.cumsum(axis=1)[:, None, :-1]
    component = (random.uniform(size=(n_draws, n_genes, 1)) > below).sum(axis=2)
    scale = np.array(mixture.signed_scales)
    return {
        name: scale[component] * np.abs(random.standard_normal(shape)),
        mixture.weights: weights,
        mixture.included: np.repeat(1 - weights[:, :1], n_genes, axis=1),
    }


def draw_factors(
    factor: Factor, drawn: Mapping[str, np.ndarray], n_items: int, random: np.random.Generator
) -> np.ndarray:
    """Return draws of a factor (S, items), given those of its SD, and of what it multiplies."""
    sd = drawn[factor.sd][:, None]
    logs = sd * random.standard_normal((len(sd), n_items))
    if factor.zero_sum:
        logs -= logs.mean(axis=1, keepdims=True)
    return np.exp(logs) * (drawn[factor.of][:, None] if factor.of else 1.0)

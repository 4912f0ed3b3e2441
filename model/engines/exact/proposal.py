"""Importance sampling of a log density of a few variables: mode, curvature, weighted points.

Independent of screens. The proposal is a multivariate t around the mode with the curvature there,
adapted to the weights of a first set of points; points are quasi-random (Sobol). Weights are
smoothed and diagnosed by their Pareto tail (Vehtari et al. 2024, Pareto smoothed importance
sampling, JMLR 25).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from arviz_stats.base.array import array_stats
from scipy import optimize, special, stats
from scipy.stats import qmc

LogDensity = Callable[[np.ndarray], np.ndarray]
"""Log density, not normalised, at points (P, d); (P,)."""
STEP = 0.03
"""Step of finite differences, in units of the given scale."""
DEGREES_OF_FREEDOM = (4.0, 7.0, 12.0, 25.0, 60.0)
ENOUGH_POINTS = 10
"""Effective points per dimension needed to estimate a covariance."""
SMALLEST_POWER = 1e-6
WIDEST_SD = 2.0
"""Largest SD of a log SD at the start: a factor of about e^2, where the data say little."""


class NotIntegrable(ArithmeticError):
    """A density without an adequate proposal.

    It is zero or NaN where it should not be, or most of its mass is far from the search.
    """


def maximise(
    log_density: LogDensity, start: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mode (d,) and the covariance (d, d) of the normal with the curvature there.

    `scale` (d, d) is a rough factor of that covariance: theta = start + scale z.
    Raises NotIntegrable where the search finds no mode or curvature.
    """
    dim = len(start)
    first = log_density(start[None])[0]
    if not np.isfinite(first):
        raise NotIntegrable("the posterior density is zero where its search begins")

    def value_and_gradient(z: np.ndarray) -> tuple[float, np.ndarray]:
        offsets = STEP * np.concatenate([np.zeros((1, dim)), np.eye(dim), -np.eye(dim)])
        values = first - log_density(start + (z + offsets) @ scale.T)
        # A large finite value, from which the line search steps back; it cannot use infinity.
        values = np.nan_to_num(values, posinf=1e10)
        return values[0], (values[1 : dim + 1] - values[dim + 1 :]) / (2 * STEP)

    found = optimize.minimize(
        value_and_gradient, np.zeros(dim), jac=True, method="BFGS", options={"gtol": 1e-2}
    )
    mode = start + scale @ found.x
    return mode, scale @ _inverse_curvature(log_density, mode, scale) @ scale.T


def _inverse_curvature(log_density: LogDensity, mode: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the inverse of the negative Hessian in units of `scale` (d, d), positive definite."""
    dim = len(mode)
    pairs = [(i, j) for i in range(dim) for j in range(i)]
    unit = np.eye(dim)
    offsets = [np.zeros(dim), *unit, *-unit]
    offsets += [sign * (unit[i] + unit[j]) for i, j in pairs for sign in (1, -1)]
    step = 3 * STEP
    values = log_density(mode + step * np.array(offsets) @ scale.T)
    middle, plus, minus = values[0], values[1 : dim + 1], values[dim + 1 : 2 * dim + 1]
    curvature = np.diag(plus + minus - 2 * middle)
    both = values[2 * dim + 1 :].reshape(-1, 2).sum(axis=1)
    for (i, j), sum_of_two in zip(pairs, both, strict=True):
        mixed = (sum_of_two - 2 * middle - curvature[i, i] - curvature[j, j]) / 2
        curvature[i, j] = curvature[j, i] = mixed
    if not np.isfinite(curvature).all():
        raise NotIntegrable("the posterior density is zero beside its mode")
    eigenvalues, vectors = np.linalg.eigh(-curvature / step**2)
    # At most WIDEST_SD where the density is nearly flat, or rises numerically.
    widest = WIDEST_SD / np.linalg.norm(scale @ vectors, axis=0)
    return (vectors / np.maximum(eigenvalues, 1 / widest**2)) @ vectors.T


@dataclass(frozen=True, eq=False)
class Proposal:
    """A multivariate t distribution in d dimensions."""

    location: np.ndarray
    covariance: np.ndarray
    """Scale matrix (d, d), the covariance of the normal limit."""
    df: float

    def points(self, n: int, seed: np.random.SeedSequence) -> np.ndarray:
        """Return n quasi-random points (n, d); n should be a power of two."""
        dim = len(self.location)
        uniform = qmc.Sobol(dim + 1, rng=np.random.default_rng(seed)).random(n)
        uniform = np.clip(uniform, 1e-12, 1 - 1e-12)
        normal = special.ndtri(uniform[:, :dim])
        chi2 = special.chdtri(self.df, uniform[:, dim])
        factor = np.linalg.cholesky(self.covariance)
        points: np.ndarray = self.location + (normal * np.sqrt(self.df / chi2)[:, None]) @ factor.T
        return points

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Return the log density at points (P, d)."""
        values = stats.multivariate_t.logpdf(  # type: ignore[call-overload]
            points, self.location, self.covariance, df=self.df
        )
        return np.atleast_1d(values)


@dataclass(frozen=True, eq=False)
class Weights:
    """Importance weights of P points."""

    log_weight: np.ndarray
    """Logs of the smoothed weights, whose sum is 1 (P,)."""
    pareto_k: float
    """Shape of the tail of the raw weights; above 0.7 they are unreliable."""
    efficiency: float
    """Effective share of the points, 1 / (P sum of squared weights)."""


def psis_weights(log_ratio: np.ndarray) -> Weights:
    """Return the PSIS weights of points with log density minus that of the proposal `log_ratio`.

    pareto_k is NaN where all densities are zero, or one is NaN.
    """
    if np.isnan(log_ratio).any() or not np.isfinite(log_ratio).any():
        return Weights(np.full(len(log_ratio), -np.log(len(log_ratio))), np.nan, np.nan)
    finite = np.maximum(log_ratio, log_ratio.max() - 700)
    # psislw expects LOO's log likelihood, the negative of a log ratio.
    try:
        log_weight, pareto_k = array_stats.psislw(-finite)
    except ValueError:  # no tail: one point dominates, or all weights are equal
        log_weight, pareto_k = finite, np.inf if np.ptp(finite) else -np.inf
    log_weight = np.asarray(log_weight) - special.logsumexp(log_weight)
    efficiency = np.exp(-special.logsumexp(2 * log_weight)) / len(log_weight)
    return Weights(log_weight, float(pareto_k), float(efficiency))


def adapt(
    proposal: Proposal, points: np.ndarray, log_ratio: np.ndarray, most_df: float
) -> Proposal:
    """Return a proposal adapted to the weighted points of another one.

    Location and covariance are those of the weighted points; the degrees of freedom, from
    DEGREES_OF_FREEDOM up to `most_df`, minimise the estimated variance of the weights, the mean of
    p^2 / q_new over p. `most_df` limits how thin the tails may be, as points show only the tails
    they reach.

    Raises NotIntegrable where too few points dominate: a proposal as narrow as a single point gives
    nearly equal weights and would seem to be good.
    """
    log_weight = _tempered(log_ratio, ENOUGH_POINTS * len(proposal.location))
    weight = np.exp(log_weight)
    if not weight @ weight < 1 / (len(proposal.location) + 1):
        raise NotIntegrable("a few points dominate, far from most of the density")
    location = weight @ points
    deviation = points - location
    spread = deviation.T @ (weight[:, None] * deviation)
    log_target = log_ratio + proposal.log_density(points)

    def log_variance(candidate: Proposal) -> float:
        return float(special.logsumexp(log_weight + log_target - candidate.log_density(points)))

    candidates = [
        # The covariance of a t is df / (df - 2) times its scale matrix.
        Proposal(location, spread * shrink, df)
        for df in DEGREES_OF_FREEDOM
        if df <= most_df
        for shrink in (1.0, (df - 2) / df)
    ]
    return min(candidates, key=log_variance)


def _tempered(log_ratio: np.ndarray, n_effective: int) -> np.ndarray:
    """Return log weights to the largest power that leaves `n_effective` effective points.

    Otherwise, with a first proposal far from the mass, one point would have all the weight.
    """
    power = 1.0
    while True:
        weights = psis_weights(power * log_ratio)
        if not weights.efficiency * len(log_ratio) < n_effective or power < SMALLEST_POWER:
            return weights.log_weight
        power /= 2


def resampled(log_weight: np.ndarray, n_draws: int, seed: np.random.SeedSequence) -> np.ndarray:
    """Return indices of `n_draws` points drawn by weight, in random order (systematic resampling).

    A point of average weight is drawn about n_draws / P times, with little random variation.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(log_weight))
    cumulative = np.cumsum(np.exp(log_weight[order]))
    at = (np.arange(n_draws) + random.random()) / n_draws * cumulative[-1]
    chosen = order[np.minimum(np.searchsorted(cumulative, at), len(order) - 1)]
    return random.permutation(chosen)

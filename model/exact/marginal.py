"""The density of the standard deviations, all else integrated out, and what the genes share.

Takes the sums of `model.exact.collapse`, adds what does not depend on the genes (the priors of
gamma and of the mus) and factors the one matrix that is left. In units of sigma, with N
measurements, C lines, and P and A_g as in `collapse`,

    log p(y | sds) = -N/2 log(2 pi sigma^2) + 1/2 (log|V| - log|diag n|)
                     + 1/2 (log|P| - sum_g log|A_g|) + C log(sigma / sigma_gamma)
                     + sum_mu log(sigma / s_mu) - 1/2 log|Q| - S / (2 sigma^2)

with Q the precision of x = (gamma, mus), s_mu the prior SDs of the mus and S the squares left at
the best x. Both come out of one Cholesky factor of [[Q, h], [h', s]]: its last row is the
right-hand side solved, and its last entry is the root of S.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from model.exact.collapse import RATIOS
from schemas.parameters import Distribution, ModelName, Priors
from schemas.posterior import CONTRACTS

AT_ONCE = 200_000
"""Numbers in a stack of matrices that is factored at once: 1.6 MB, so that it stays in cache."""
SOME_POINTS = 8
"""At least so many, however large the matrices: they share the reading of what is interpolated."""
LARGE_MATRIX = 64
"""Rows from which a call of LAPACK a matrix costs less than NumPy's copies of it."""
MEANS = ("mu_alpha", "mu_beta", "mu_gamma")
"""The population means, in the order they have behind gamma in x."""


@dataclass(frozen=True, eq=False)
class Factored:
    """The matrix of P points factored, and the density there."""

    log_density: np.ndarray
    """Log posterior density of the logs of the SDs, not normalised (P,); -inf: none."""
    log_likelihood: np.ndarray
    """Log density of the measurements given the SDs (P,), natural log."""
    lower: np.ndarray
    """Cholesky factors (P, n + 1, n + 1); NaN where the matrix is not positive definite."""


@dataclass(frozen=True, eq=False)
class Marginal:
    """Everything but the gene effects of one model of one screen."""

    model: ModelName
    priors: Priors
    n_measurements: int | np.ndarray
    """Measurements; by point (P,) where the points are of different parts of a screen."""
    within_ss: float | np.ndarray
    """Sum of squares within units; by point, as above."""
    gamma_reference: np.ndarray
    """What has been taken off every line (C,)."""

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """Names of the standard deviations, in the order of `theta`."""
        return hyperparameters(self.model)

    @property
    def means(self) -> tuple[str, ...]:
        """Names of the population means, in the order of the contract."""
        return tuple(name for name in CONTRACTS[self.model].variables if name.startswith("mu_"))

    @property
    def means_in_order(self) -> tuple[str, ...]:
        """Names of the population means, in the order they have behind gamma in x."""
        return tuple(name for name in MEANS if name in self.means)

    def to_ratios(self) -> np.ndarray:
        """Return the matrix (r, d) that turns theta, log SDs, into the logs of the ratios."""
        names = self.hyperparameters
        ratios = [name for name in RATIOS if name in names]
        matrix = np.zeros((len(ratios), len(names)))
        for row, name in enumerate(ratios):
            matrix[row, names.index(name)] = 1
            matrix[row, names.index("sigma")] = -1
        return matrix

    def factored(self, theta: np.ndarray, collapsed: np.ndarray) -> Factored:
        """Return density and factors at points theta (P, d), from their sums (P, M + 1)."""
        log_sd = dict(zip(self.hyperparameters, theta.T, strict=True))
        log_sigma, log_gamma = log_sd["sigma"], log_sd["sigma_gamma"]
        matrix, log_mean_priors = self._bordered(log_sigma, log_gamma, collapsed)
        lower = factors(matrix)
        pivots = np.diagonal(lower, axis1=1, axis2=2)
        with np.errstate(invalid="ignore", over="ignore"):
            rest = (pivots[:, -1] ** 2 + self.within_ss) / (2 * np.exp(2 * log_sigma))
            log_likelihood = (
                -0.5 * self.n_measurements * np.log(2 * np.pi)
                - self.n_measurements * log_sigma
                + collapsed[:, -1]
                + len(self.gamma_reference) * (log_sigma - log_gamma)
                + log_mean_priors
                - np.log(pivots[:, :-1]).sum(axis=1)
                - rest
            )
            log_density = log_likelihood + sum(
                _log_prior(getattr(self.priors, name), value) for name, value in log_sd.items()
            )
        return Factored(
            np.where(np.isnan(log_density), -np.inf, log_density), log_likelihood, lower
        )

    def _bordered(
        self, log_sigma: np.ndarray, log_gamma: np.ndarray, collapsed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return [[Q, h], [h', s]], lower triangles only, and the sum of log(sigma / s_mu)."""
        n_lines = len(self.gamma_reference)
        matrix = np.empty((len(collapsed), self.size, self.size))
        at = 0
        for row in range(n_lines + 2):
            matrix[:, row, : row + 1] = collapsed[:, at : at + row + 1]
            at += row + 1
        matrix[:, -1, : n_lines + 2] = collapsed[:, at:-2]
        matrix[:, -1, -1] = collapsed[:, -2]

        line = np.arange(n_lines)
        precision = np.exp(2 * (log_sigma - log_gamma))
        matrix[:, line, line] += precision[:, None]
        matrix[:, -1, line] -= precision[:, None] * self.gamma_reference
        matrix[:, -1, -1] += precision * (self.gamma_reference**2).sum()
        if "mu_gamma" in self.means:
            matrix[:, n_lines + 2, line] = -precision[:, None]
            matrix[:, n_lines + 2, n_lines : n_lines + 2] = 0
            matrix[:, n_lines + 2, n_lines + 2] = n_lines * precision
            matrix[:, -1, n_lines + 2] = precision * self.gamma_reference.sum()
        log_priors = np.zeros(len(collapsed))
        for name in self.means:
            at = n_lines + MEANS.index(name)
            centre, sd = getattr(self.priors, name).arguments
            held = np.exp(2 * log_sigma) / sd**2
            matrix[:, at, at] += held
            matrix[:, -1, at] += held * centre
            matrix[:, -1, -1] += held * centre**2
            log_priors += log_sigma - np.log(sd)
        return matrix, log_priors

    def draw_common(
        self, factored: Factored, theta: np.ndarray, noise: np.ndarray | None
    ) -> np.ndarray:
        """Draw x = (gamma less its reference, mu_alpha, mu_beta[, mu_gamma]) at P points, (P, n).

            x ~ Normal(Q^-1 h, sigma^2 Q^-1)

        `noise` (P, n) is standard normal; None asks for the mean.
        """
        sigma = np.exp(theta[:, self.hyperparameters.index("sigma")])
        right = factored.lower[:, -1, :-1].copy()
        if noise is not None:
            right += sigma[:, None] * noise
        return _solved_transposed(factored.lower[:, :-1, :-1], right)

    @property
    def size(self) -> int:
        """Rows of the one matrix: lines, means and the right-hand side."""
        return len(self.gamma_reference) + len(self.means) + 1

    def batches(self, n_points: int) -> Iterator[slice]:
        """Cut P points into as many as are factored at once."""
        step = max(SOME_POINTS, AT_ONCE // self.size**2)
        return (slice(start, start + step) for start in range(0, n_points, step))


def hyperparameters(model: ModelName) -> tuple[str, ...]:
    """Return the names of the standard deviations of a model, in the order of `theta`."""
    return tuple(name for name in CONTRACTS[model].variables if name.startswith("sigma"))


def factors(matrices: np.ndarray) -> np.ndarray:
    """Overwrite the lower triangles with the factors; NaN where not positive definite."""
    if matrices.shape[-1] < LARGE_MATRIX:
        try:
            return np.linalg.cholesky(matrices)
        except np.linalg.LinAlgError:
            pass
    for matrix in matrices:
        # LAPACK reads columns where NumPy has rows: the lower triangle is its upper one.
        _, failed = lapack.dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
        if failed:
            matrix[:] = np.nan
    return matrices


def _solved_transposed(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Overwrite right-hand sides (P, n) with X of L' X = B."""
    if right.shape[1] >= LARGE_MATRIX:
        for row, factor in zip(right, lower, strict=True):
            row[:], _ = lapack.dtrtrs(factor.T, row, lower=0)
        return right
    for i in reversed(range(right.shape[1])):
        right[:, i] /= lower[:, i, i]
        right[:, :i] -= lower[:, i, :i] * right[:, i, None]
    return right


def _log_prior(prior: Distribution, log_sd: np.ndarray) -> np.ndarray:
    """Return the log density of log(sd)."""
    sd = np.exp(log_sd)
    match prior.family:
        case "Exponential":
            (rate,) = prior.arguments
            return np.log(rate) - rate * sd + log_sd
        case "HalfNormal":
            (scale,) = prior.arguments
            return 0.5 * np.log(2 / np.pi) - np.log(scale) - 0.5 * (sd / scale) ** 2 + log_sd
    raise ValueError(f"no density for {prior}")

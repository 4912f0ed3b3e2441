"""The marginal density of the standard deviations, and draws of the parameters shared by genes.

Adds the priors of gamma and of the mus to the sums of `model.engines.exact.collapse` and factors
the resulting matrix. In units of sigma, with N measurements, C lines, and P and A_g as in
`collapse`,

    log p(y | sds) = -N/2 log(2 pi sigma^2) + 1/2 (log|V| - log|diag n|)
                     + 1/2 (log|P| - sum_g log|A_g|) + C log(sigma / sigma_gamma)
                     + sum_mu log(sigma / s_mu) - 1/2 log|Q| - S / (2 sigma^2)

with Q the precision of x = (gamma, mus), s_mu the prior SDs of the mus and S the residual squares
at the best x. Both follow from one Cholesky factor of [[Q, h], [h', s]]: its last row is the solved
right-hand side, and its last entry is the root of S.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from model.likelihood.priors import log_density_of_log
from schemas.model_spec import ModelSpec
from schemas.parameters import Priors

AT_ONCE = 200_000
"""Numbers in a stack of matrices that is factored at once: 1.6 MB, which fits into the cache."""
SOME_POINTS = 8
"""Smallest number of points in a batch: they share the reading of the interpolated sums."""
LARGE_MATRIX = 64
"""Rows from which one call of LAPACK per matrix is cheaper than NumPy's copies."""


@dataclass(frozen=True, eq=False)
class Factored:
    """The factored matrices of P points, and the density there."""

    log_density: np.ndarray
    """Log posterior density of the logs of the SDs, not normalised (P,); -inf where it is zero."""
    log_likelihood: np.ndarray
    """Log density of the measurements given the SDs (P,), natural log."""
    lower: np.ndarray
    """Cholesky factors (P, n + 1, n + 1); NaN where the matrix is not positive definite."""


@dataclass(frozen=True, eq=False)
class Marginal:
    """The parts of one model of one screen that do not depend on genes."""

    spec: ModelSpec
    priors: Priors
    n_measurements: int | np.ndarray
    """Measurements; by point (P,) if the points have different parts of a screen."""
    within_ss: float | np.ndarray
    """Sum of squares within units; by point, as above."""
    gamma_reference: np.ndarray
    """Line effects already subtracted (C,)."""

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """Names of the standard deviations, in the order of `theta`."""
        return self.spec.sds

    @property
    def means(self) -> tuple[str, ...]:
        """Names of the population means, in their order after gamma in x."""
        of_genes = tuple(effect.mean for effect in self.spec.gene_effects)
        return of_genes + tuple(filter(None, (self.spec.line_effect.mean,)))

    @property
    def n_gene_means(self) -> int:
        """Number of means of gene effects, q, which are the first means."""
        return len(self.spec.gene_effects)

    def to_ratios(self) -> np.ndarray:
        """Return the matrix (r, d) that turns theta, log SDs, into the logs of the ratios."""
        names = self.hyperparameters
        matrix = np.zeros((len(self.spec.ratio_sds), len(names)))
        for row, name in enumerate(self.spec.ratio_sds):
            matrix[row, names.index(name)] = 1
            matrix[row, names.index(self.spec.noise_sd)] = -1
        return matrix

    def sigma(self, theta: np.ndarray) -> np.ndarray:
        """Return the SD of the noise at points theta (..., d)."""
        noise: np.ndarray = np.exp(theta[..., self.hyperparameters.index(self.spec.noise_sd)])
        return noise

    def factored(self, theta: np.ndarray, collapsed: np.ndarray) -> Factored:
        """Return density and factors at points theta (P, d), from their sums (P, M + 1)."""
        log_sd = dict(zip(self.hyperparameters, theta.T, strict=True))
        log_sigma, log_gamma = log_sd[self.spec.noise_sd], log_sd[self.spec.line_effect.sd]
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
                log_density_of_log(getattr(self.priors, name), value)
                for name, value in log_sd.items()
            )
        return Factored(
            np.where(np.isnan(log_density), -np.inf, log_density), log_likelihood, lower
        )

    def _bordered(
        self, log_sigma: np.ndarray, log_gamma: np.ndarray, collapsed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return [[Q, h], [h', s]], lower triangles only, and the sum of log(sigma / s_mu)."""
        n_lines = len(self.gamma_reference)
        n_shared = n_lines + self.n_gene_means
        matrix = np.empty((len(collapsed), self.size, self.size))
        at = 0
        for row in range(n_shared):
            matrix[:, row, : row + 1] = collapsed[:, at : at + row + 1]
            at += row + 1
        matrix[:, -1, :n_shared] = collapsed[:, at:-2]
        matrix[:, -1, -1] = collapsed[:, -2]

        line = np.arange(n_lines)
        precision = np.exp(2 * (log_sigma - log_gamma))
        matrix[:, line, line] += precision[:, None]
        matrix[:, -1, line] -= precision[:, None] * self.gamma_reference
        matrix[:, -1, -1] += precision * (self.gamma_reference**2).sum()
        if self.spec.line_effect.mean:
            matrix[:, n_shared, line] = -precision[:, None]
            matrix[:, n_shared, n_lines:n_shared] = 0
            matrix[:, n_shared, n_shared] = n_lines * precision
            matrix[:, -1, n_shared] = precision * self.gamma_reference.sum()
        log_priors = np.zeros(len(collapsed))
        for name in self.spec.means:
            at = n_lines + self.means.index(name)
            centre, sd = getattr(self.priors, name).arguments
            prior_precision = np.exp(2 * log_sigma) / sd**2
            matrix[:, at, at] += prior_precision
            matrix[:, -1, at] += prior_precision * centre
            matrix[:, -1, -1] += prior_precision * centre**2
            log_priors += log_sigma - np.log(sd)
        return matrix, log_priors

    def draw_common(
        self, factored: Factored, theta: np.ndarray, noise: np.ndarray | None
    ) -> np.ndarray:
        """Return draws of x = (gamma minus its reference, means) at P points, (P, n).

            x ~ Normal(Q^-1 h, sigma^2 Q^-1)

        `noise` (P, n) is standard normal; None gives the mean.
        """
        sigma = self.sigma(theta)
        right = factored.lower[:, -1, :-1].copy()
        if noise is not None:
            right += sigma[:, None] * noise
        return _solved_transposed(factored.lower[:, :-1, :-1], right)

    @property
    def size(self) -> int:
        """Rows of the matrix: lines, means and the right-hand side."""
        return len(self.gamma_reference) + len(self.means) + 1

    @property
    def n_sums(self) -> int:
        """Length of the packed sums of a point (`collapse`), M + 1."""
        n = len(self.gamma_reference) + self.n_gene_means + 1
        return n * (n + 1) // 2 + 1

    def batches(self, n_points: int) -> Iterator[slice]:
        """Return slices of P points that are factored together."""
        step = max(SOME_POINTS, AT_ONCE // self.size**2)
        return (slice(start, start + step) for start in range(0, n_points, step))


def factors(matrices: np.ndarray) -> np.ndarray:
    """Overwrite the lower triangles with the factors; NaN where not positive definite."""
    if matrices.shape[-1] < LARGE_MATRIX:
        try:
            return np.linalg.cholesky(matrices)
        except np.linalg.LinAlgError:
            pass
    for matrix in matrices:
        # LAPACK is column-major: NumPy's lower triangle is its upper one.
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

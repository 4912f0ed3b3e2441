"""Compiled algebra of many small positive definite matrices, one per gene or line.

Everything goes by the inverse F of the lower Cholesky factor of a matrix A: A^-1 = F'F,
log|A| = -2 sum log diag F, and F'z is a draw of Normal(0, A^-1) from standard normal z. On matrices
of two to ten rows NumPy spends more time on calls than on sums.
"""

from __future__ import annotations

import numpy as np

from model.engines.gibbs.compiled import cached


@cached
def copy_into(target: np.ndarray, values: np.ndarray) -> None:
    """Set an array (n,) to values: an assignment with its check of shapes compiles for seconds."""
    for i in range(values.size):
        target[i] = values[i]


@cached
def inverse_factors(matrices: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Return F (n, p, p) of each of the matrices (n, p, p), with a diagonal (p,) added to it.

    Raises LinAlgError where one is not positive definite.
    """
    n, p, _ = matrices.shape
    result = np.zeros((n, p, p))
    lower = np.zeros((p, p))
    for g in range(n):
        own, inverse = matrices[g], result[g]
        for i in range(p):
            for j in range(i):
                s = own[i, j]
                for k in range(j):
                    s -= lower[i, k] * lower[j, k]
                lower[i, j] = s * inverse[j, j]
            s = own[i, i] + diagonal[i]
            for k in range(i):
                s -= lower[i, k] * lower[i, k]
            if not s > 0:
                raise np.linalg.LinAlgError("Matrix is not positive definite")
            inverse[i, i] = 1 / np.sqrt(s)
            for j in range(i):
                s = 0.0
                for k in range(j, i):
                    s -= lower[i, k] * inverse[k, j]
                inverse[i, j] = s * inverse[i, i]
    return result


@cached
def times(factors: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the product of each lower triangular matrix (n, p, p) with its vector (n, p)."""
    n, p = vectors.shape
    result = np.zeros((n, p))
    for g in range(n):
        for i in range(p):
            s = 0.0
            for j in range(i + 1):
                s += factors[g, i, j] * vectors[g, j]
            result[g, i] = s
    return result


@cached
def transposed_times(factors: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the product of the transpose of each lower triangular matrix with its vector."""
    n, p = vectors.shape
    result = np.zeros((n, p))
    for g in range(n):
        for j in range(p):
            s = 0.0
            for i in range(j, p):
                s += factors[g, i, j] * vectors[g, i]
            result[g, j] = s
    return result


@cached
def log_diagonals(factors: np.ndarray) -> np.ndarray:
    """Return the sum of the logs of the diagonal of each of the matrices (n, p, p)."""
    n, p, _ = factors.shape
    result = np.zeros(n)
    for g in range(n):
        product = 1.0
        for i in range(p):
            product *= factors[g, i, i]
        result[g] = np.log(product)
    return result


@cached
def quadratic_forms(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return x'Ax (n,) of each of the symmetric matrices (n, p, p) and its vector (n, p)."""
    n, p = vectors.shape
    result = np.zeros(n)
    for g in range(n):
        for i in range(p):
            s = 0.5 * matrices[g, i, i] * vectors[g, i]
            for j in range(i):
                s += matrices[g, i, j] * vectors[g, j]
            result[g] += 2 * s * vectors[g, i]
    return result

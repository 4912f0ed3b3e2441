"""Cholesky factors of stacks of small matrices.

LAPACK takes one matrix per call, and for a 2 x 2 matrix the call dominates. Here the loop runs over
the few entries of the matrix, and each step is one operation on the whole stack. The axes of the
matrix come first, those of the stack after them: (p, p, ...) and (p, ...).
"""

from __future__ import annotations

import numpy as np


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Return the lower factors L of symmetric positive definite matrices A = L L', (p, p, ...).

    Only the lower triangles are read. The factor of a matrix that is not positive definite is NaN.
    """
    lower = np.zeros_like(matrices)
    with np.errstate(invalid="ignore", divide="ignore"):
        for j in range(len(matrices)):
            pivot = matrices[j, j] - sum(lower[j, k] ** 2 for k in range(j))
            lower[j, j] = np.sqrt(np.where(pivot > 0, pivot, np.nan))
            for i in range(j + 1, len(matrices)):
                known = sum(lower[i, k] * lower[j, k] for k in range(j))
                lower[i, j] = (matrices[i, j] - known) / lower[j, j]
    return lower


def solve_lower(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Overwrite the right-hand sides B, (p, ...), with X of L X = B, and return them."""
    for i in range(len(right)):
        for k in range(i):
            right[i] -= lower[i, k] * right[k]
        right[i] /= lower[i, i]
    return right


def solve_upper(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Overwrite the right-hand sides B, (p, ...), with X of L' X = B, and return them."""
    for i in reversed(range(len(right))):
        for k in range(i + 1, len(right)):
            right[i] -= lower[k, i] * right[k]
        right[i] /= lower[i, i]
    return right

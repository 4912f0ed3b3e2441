"""Interpolation of smooth functions of a few variables by polynomials of a total degree.

The nodes of a degree include those of lower degrees (Leja points), so that a degree can be raised
without discarding nodes. If the function varies equally in all scaled variables, the monomials up
to a total degree are the leading terms of its Taylor series.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import comb

import numpy as np
from numpy.polynomial import chebyshev

MOST_DEGREE = 24


def n_nodes(dim: int, degree: int) -> int:
    """Return the number of nodes of a total degree in `dim` variables."""
    return comb(degree + dim, dim)


@cache
def exponents(dim: int, degree: int) -> np.ndarray:
    """Return the degrees in each variable of all terms (n, dim), by total degree."""
    rows = [row for row in product(range(degree + 1), repeat=dim) if sum(row) <= degree]
    return np.array(sorted(rows, key=lambda row: (sum(row), row)), int).reshape(-1, dim)


@cache
def nodes(dim: int, degree: int) -> np.ndarray:
    """Return the nodes (n, dim) in [-1, 1]; those of a lower degree come first."""
    return _leja()[exponents(dim, degree)]


def cardinal_weights(points: np.ndarray, degree: int) -> np.ndarray:
    """Return the weights (P, n) that map values at the nodes to values at `points` (P, dim)."""
    dim = points.shape[1]
    return _basis(points, degree) @ _inverse(dim, degree)


@cache
def _inverse(dim: int, degree: int) -> np.ndarray:
    return np.linalg.inv(_basis(nodes(dim, degree), degree))


def _basis(points: np.ndarray, degree: int) -> np.ndarray:
    """Return products of Chebyshev polynomials, one column per term."""
    dim = points.shape[1]
    values = np.ones((len(points), n_nodes(dim, degree)))
    terms = exponents(dim, degree)
    for variable in range(dim):
        values *= chebyshev.chebvander(points[:, variable], degree)[:, terms[:, variable]]
    return values


@cache
def _leja() -> np.ndarray:
    """Return Leja points of [-1, 1]: each has the largest product of distances to those before."""
    candidates = np.cos(np.linspace(0, np.pi, 20_001))
    points = [0.0]
    log_product = np.zeros_like(candidates)
    while len(points) <= MOST_DEGREE:
        with np.errstate(divide="ignore"):
            log_product += np.log(np.abs(candidates - points[-1]))
        points.append(float(candidates[np.argmax(log_product)]))
    return np.array(points)

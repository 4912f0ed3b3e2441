"""Polynomial interpolation, and factors of many small matrices, against NumPy."""

import numpy as np
import pytest

from model.exact import interpolation, stacked


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_polynomials_of_the_degree_are_reproduced(dim):
    degree = 4
    random = np.random.default_rng(dim)
    terms = interpolation.exponents(dim, degree)
    coefficients = random.standard_normal(len(terms))

    def polynomial(points: np.ndarray) -> np.ndarray:
        return np.prod(points[:, None] ** terms, axis=2) @ coefficients

    points = random.uniform(-1, 1, (20, dim))
    nodes = interpolation.nodes(dim, degree)
    n_fewer = interpolation.n_nodes(dim, degree - 1)
    assert len(np.unique(nodes, axis=0)) == len(nodes) == interpolation.n_nodes(dim, degree)
    np.testing.assert_array_equal(nodes[:n_fewer], interpolation.nodes(dim, degree - 1))
    weights, fewer = (interpolation.cardinal_weights(points, of) for of in (degree, degree - 1))
    np.testing.assert_allclose(weights @ polynomial(nodes), polynomial(points), atol=1e-11)
    assert np.abs(fewer @ polynomial(nodes[:n_fewer]) - polynomial(points)).max() > 0.01


@pytest.mark.parametrize("p", [1, 2, 5])
def test_stacked_factors_and_solutions_equal_those_of_lapack(p):
    random = np.random.default_rng(p)
    root, right = random.standard_normal((3, 4, p, p)), random.standard_normal((3, 4, p, 1))
    matrices = root @ np.swapaxes(root, -1, -2) + p * np.eye(p)
    expected = np.linalg.cholesky(matrices)
    matrices[1, 2] = -matrices[1, 2]  # not positive definite
    expected[1, 2] = np.where(np.tri(p), np.nan, 0)
    lower = stacked.cholesky(np.moveaxis(np.tril(matrices), (-2, -1), (0, 1)))
    np.testing.assert_allclose(np.moveaxis(lower, (0, 1), (-2, -1)), expected, rtol=1e-12)
    upper = np.swapaxes(expected, -1, -2)
    for solve, factor in ((stacked.solve_lower, expected), (stacked.solve_upper, upper)):
        found = solve(lower, np.moveaxis(right[..., 0], -1, 0).copy())
        solution = np.linalg.solve(factor, right)[..., 0]
        np.testing.assert_allclose(np.moveaxis(found, 0, -1), solution, rtol=1e-10)

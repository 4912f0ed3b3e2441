"""The numerical parts that know nothing of screens: stacks, interpolation, importance sampling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from model.exact import interpolation, stacked
from model.exact.proposal import (
    WIDEST_SD,
    NotIntegrable,
    Proposal,
    _tempered,
    maximise,
    refitted,
    resampled,
    weigh,
)
from model.exact.search import largest_difference


def positive_definite(p: int, *stack: int) -> np.ndarray:
    random = np.random.default_rng(p)
    root = random.standard_normal((*stack, p, p))
    matrices = root @ np.swapaxes(root, -1, -2) + p * np.eye(p)
    return np.moveaxis(matrices, (-2, -1), (0, 1))


@pytest.mark.parametrize("p", [1, 2, 5])
def test_stacked_factors_and_solutions_are_lapack_s(p):
    matrices = positive_definite(p, 3, 4)
    lower = stacked.cholesky(np.tril(np.ones((p, p)))[..., None, None] * matrices)
    expected = np.linalg.cholesky(np.moveaxis(matrices, (0, 1), (-2, -1)))
    np.testing.assert_allclose(np.moveaxis(lower, (0, 1), (-2, -1)), expected, rtol=1e-12)
    right = np.random.default_rng(0).standard_normal((p, 3, 4))
    columns = np.moveaxis(right, 0, -1)[..., None]
    found = stacked.solve_lower(lower, right.copy())
    np.testing.assert_allclose(
        np.moveaxis(found, 0, -1)[..., None], np.linalg.solve(expected, columns), rtol=1e-10
    )
    found = stacked.solve_upper(lower, right.copy())
    transposed = np.swapaxes(expected, -1, -2)
    np.testing.assert_allclose(
        np.moveaxis(found, 0, -1)[..., None], np.linalg.solve(transposed, columns), rtol=1e-10
    )


def test_the_factor_of_what_is_not_positive_definite_is_nan():
    matrices = np.stack([np.eye(2), [[1.0, 2.0], [2.0, 1.0]]], axis=-1)
    lower = stacked.cholesky(matrices)
    assert np.isfinite(lower[..., 0]).all()
    assert np.isnan(lower[1, 1, 1])


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_polynomials_of_the_degree_are_reproduced(dim):
    degree = 4
    random = np.random.default_rng(dim)
    terms = interpolation.exponents(dim, degree)
    coefficients = random.standard_normal(len(terms))

    def polynomial(points: np.ndarray) -> np.ndarray:
        return np.prod(points[:, None] ** terms, axis=2) @ coefficients

    points = random.uniform(-1, 1, (20, dim))
    at_nodes = polynomial(interpolation.nodes(dim, degree))
    weights = interpolation.cardinal_weights(points, degree)
    np.testing.assert_allclose(weights @ at_nodes, polynomial(points), atol=1e-11)
    # One degree less cannot.
    fewer = interpolation.cardinal_weights(points, degree - 1)
    left = at_nodes[: interpolation.n_nodes(dim, degree - 1)]
    assert np.abs(fewer @ left - polynomial(points)).max() > 0.01


def test_nodes_of_a_lower_degree_come_first():
    few, many = interpolation.nodes(3, 2), interpolation.nodes(3, 5)
    np.testing.assert_array_equal(many[: len(few)], few)
    assert len(np.unique(many, axis=0)) == len(many) == interpolation.n_nodes(3, 5)


def test_a_smooth_function_is_interpolated_ever_better():
    points = np.random.default_rng(0).uniform(-1, 1, (200, 2))

    def error(degree: int) -> float:
        nodes = interpolation.nodes(2, degree)
        weights = interpolation.cardinal_weights(points, degree)
        return float(np.abs(weights @ np.exp(nodes.sum(axis=1)) - np.exp(points.sum(axis=1))).max())

    errors = [error(degree) for degree in (2, 6, 10, 16)]
    assert errors[0] > 100 * errors[1] > 10_000 * errors[2]
    assert errors[-1] < 1e-12


LOCATION = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.25]])


def normal(points: np.ndarray) -> np.ndarray:
    return np.atleast_1d(stats.multivariate_normal(LOCATION, COVARIANCE).logpdf(points))


def test_mode_and_curvature_of_a_normal_are_found():
    mode, covariance = maximise(normal, np.zeros(3), np.diag([0.3, 0.3, 0.3]))
    np.testing.assert_allclose(mode, LOCATION, atol=0.02)
    np.testing.assert_allclose(covariance, COVARIANCE, rtol=1e-3, atol=1e-4)


def test_a_flat_direction_gets_a_finite_width():
    def flat(points: np.ndarray) -> np.ndarray:
        return -0.5 * points[:, 0] ** 2

    _, covariance = maximise(flat, np.array([0.5, 0.0]), np.diag([0.3, 0.3]))
    assert covariance[0, 0] == pytest.approx(1, rel=0.01)
    assert covariance[1, 1] == pytest.approx(WIDEST_SD**2)


def test_no_density_at_the_start_is_refused():
    with pytest.raises(NotIntegrable, match=r"^the posterior density is zero where its search be"):
        maximise(lambda points: np.full(len(points), -np.inf), np.zeros(2), np.eye(2))


def test_points_without_density_are_no_error_of_the_interpolation():
    nowhere = -np.inf
    a, b = np.array([-1.0, nowhere, -3.0]), np.array([-1.5, nowhere, -3.0])
    assert largest_difference(a, b) == 0.5
    assert largest_difference(a, np.array([-1.0, -2.0, -3.0])) == np.inf


def test_points_of_the_proposal_follow_its_density():
    proposal = Proposal(LOCATION, COVARIANCE, df=12.0)
    points = proposal.points(4096, np.random.SeedSequence(1))
    np.testing.assert_allclose(points.mean(axis=0), LOCATION, atol=0.03)
    np.testing.assert_allclose(np.cov(points.T), COVARIANCE * 12 / 10, atol=0.06)
    # The mean weight of a normalised density is 1.
    assert np.exp(normal(points) - proposal.log_density(points)).mean() == pytest.approx(
        1, abs=0.01
    )


def test_points_are_the_seed_s_and_finite_at_the_ends(monkeypatch):
    proposal = Proposal(LOCATION, COVARIANCE, df=12.0)
    one, same, other = (proposal.points(8, np.random.SeedSequence(at)) for at in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.isclose(one, other).any()
    ends = np.repeat([[0.0], [1.0]], 4, axis=1)
    monkeypatch.setattr(qmc.Sobol, "random", lambda self, n: ends)
    assert np.isfinite(proposal.points(2, np.random.SeedSequence(1))).all()


def test_weights_of_a_good_and_of_a_bad_proposal():
    good = Proposal(LOCATION, COVARIANCE, df=25.0)
    points = good.points(2048, np.random.SeedSequence(1))
    weights = weigh(normal(points) - good.log_density(points))
    assert weights.efficiency > 0.85
    assert weights.pareto_k < 0.5
    assert np.exp(weights.log_weight).sum() == pytest.approx(1)
    narrow = Proposal(LOCATION, COVARIANCE / 10, df=60.0)
    points = narrow.points(2048, np.random.SeedSequence(1))
    weights = weigh(normal(points) - narrow.log_density(points))
    assert weights.pareto_k > 0.7
    assert weights.efficiency < 0.3


@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_weights_without_evidence_are_nan(value):
    weights = weigh(np.full(100, value))
    assert np.isnan(weights.pareto_k)
    assert np.isnan(weights.efficiency)
    np.testing.assert_allclose(weights.log_weight, -np.log(100))


def test_weights_without_a_tail_are_judged_all_the_same():
    even = weigh(np.full(100, -3.0))
    assert even.efficiency == pytest.approx(1)
    assert even.pareto_k < 0.7
    outweighed = weigh(np.array([0.0, *[-1e5] * 99]))
    assert not outweighed.pareto_k < 0.7
    few = weigh(np.array([*np.linspace(0, 1, 26), *[-1e5] * 102]))
    assert np.isfinite(few.log_weight).all()


def test_the_power_of_weights_is_lowered_until_enough_points_count():
    log_ratio = np.linspace(0, 2000, 500)
    assert weigh(log_ratio).efficiency * 500 < 30
    tempered = np.exp(_tempered(log_ratio, 30))
    assert 30 <= 1 / (tempered**2).sum() < 75  # half the power is twice the points, or so
    enough = np.linspace(0, 1, 500)
    np.testing.assert_array_equal(_tempered(enough, 30), weigh(enough).log_weight)


def test_a_refitted_proposal_is_better():
    off = Proposal(LOCATION + 0.5, COVARIANCE * 2, df=4.0)
    points = off.points(2048, np.random.SeedSequence(1))
    log_ratio = normal(points) - off.log_density(points)
    better = refitted(off, points, log_ratio, most_df=60.0)
    points = better.points(2048, np.random.SeedSequence(2))
    after = weigh(normal(points) - better.log_density(points))
    assert after.efficiency > 0.9 > weigh(log_ratio).efficiency


@pytest.mark.parametrize("n_heavy", [1, 3, 4])
def test_points_of_which_few_count_suggest_no_proposal(n_heavy):
    proposal = Proposal(LOCATION, COVARIANCE, df=25.0)
    points = proposal.points(64, np.random.SeedSequence(1))
    log_ratio = np.where(np.arange(64) < n_heavy, 0.0, -1e12)
    with pytest.raises(NotIntegrable, match=r"^a few points outweigh all others, far from most "):
        refitted(proposal, points, log_ratio, most_df=60.0)
    log_ratio[:5] = 0.0
    better = refitted(proposal, points, log_ratio, most_df=60.0)
    np.testing.assert_allclose(better.location, points[:5].mean(axis=0))


def test_so_many_points_count_for_a_spread_as_it_has_dimensions_ten_times_over():
    proposal = Proposal(LOCATION, COVARIANCE, df=25.0)
    points = proposal.points(512, np.random.SeedSequence(1))
    log_ratio = np.linspace(0, 2000, 512)
    weight = np.exp(_tempered(log_ratio, 30))
    better = refitted(proposal, points, log_ratio, most_df=60.0)
    np.testing.assert_allclose(better.location, weight @ points)


@pytest.mark.parametrize(
    ("tail", "most_df", "df"), [(7.0, 60.0, 7.0), (60.0, 60.0, 60.0), (60.0, 12.0, 12.0)]
)
def test_a_refitted_proposal_has_the_tail_that_leaves_the_weights_most_even(tail, most_df, df):
    target = Proposal(LOCATION, COVARIANCE, tail)
    off = Proposal(LOCATION + 0.2, COVARIANCE * 1.5, df=4.0)
    points = off.points(8192, np.random.SeedSequence(1))
    log_ratio = target.log_density(points) - off.log_density(points)
    better = refitted(off, points, log_ratio, most_df=most_df)
    assert better.df == df
    np.testing.assert_allclose(better.location, LOCATION, atol=0.05)
    if df == tail:
        np.testing.assert_allclose(better.covariance, COVARIANCE, rtol=0.1, atol=0.05)


def test_points_are_drawn_by_their_weight():
    weight = np.array([0.5, 0.3, 0.2, 0.0])
    with np.errstate(divide="ignore"):
        chosen = resampled(np.log(weight), 1000, np.random.SeedSequence(0))
    counts = np.bincount(chosen, minlength=4)
    np.testing.assert_allclose(counts, 1000 * weight, atol=1)
    assert np.abs(np.corrcoef(chosen[1:], chosen[:-1])[0, 1]) < 0.1  # in random order


@pytest.mark.parametrize("seed", range(4))
def test_every_point_is_drawn_by_its_weight_and_the_seed_s(seed):
    weight = np.array([0.1, 0.2, 0.3, 0.4])
    chosen = resampled(np.log(weight), 200, np.random.SeedSequence(seed))
    np.testing.assert_allclose(np.bincount(chosen), 200 * weight, atol=1)
    again = resampled(np.log(weight), 200, np.random.SeedSequence(seed))
    np.testing.assert_array_equal(chosen, again)

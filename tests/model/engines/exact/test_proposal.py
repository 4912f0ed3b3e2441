"""Mode, curvature, weights and refitted proposals of densities that are known."""

import numpy as np
import pytest
from scipy import stats

from model.engines.exact.proposal import NotIntegrable, Proposal, adapt, maximise, psis_weights

LOCATION = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.25]])


def normal(points: np.ndarray) -> np.ndarray:
    return np.atleast_1d(stats.multivariate_normal(LOCATION, COVARIANCE).logpdf(points))


def points_of(proposal: Proposal, n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a proposal and the log ratios of the normal density there."""
    points = proposal.points(n, np.random.SeedSequence(seed))
    return points, normal(points) - proposal.log_density(points)


def test_a_density_without_curvature_has_the_widest_sd():
    start, scale = np.array([0.5, 0.0]), np.diag([0.3, 0.2])
    _, covariance = maximise(lambda points: -0.5 * points[:, 0] ** 2, start, scale)
    np.testing.assert_allclose(np.diag(covariance), [1, 2.0**2], rtol=0.01)


def test_a_density_that_is_zero_at_the_start_or_beside_the_mode_is_refused():
    with pytest.raises(NotIntegrable, match="zero where its search begins"):
        maximise(lambda points: np.full(len(points), -np.inf), np.zeros(2), np.eye(2))
    with pytest.raises(NotIntegrable, match="zero beside its mode"):
        maximise(lambda points: np.where(points.any(axis=1), -np.inf, 0), np.zeros(2), np.eye(2))


def test_weights_show_how_good_a_proposal_is():
    weights = psis_weights(points_of(Proposal(LOCATION, COVARIANCE, df=25.0), 2048)[1])
    assert weights.efficiency > 0.85
    assert weights.pareto_k < 0.5
    assert np.exp(weights.log_weight).sum() == pytest.approx(1)
    weights = psis_weights(points_of(Proposal(LOCATION, COVARIANCE / 10, df=60.0), 2048)[1])
    assert weights.pareto_k > 0.7
    assert weights.efficiency < 0.3


def test_weights_without_a_tail_or_any_density_are_judged():
    for value in (-np.inf, np.nan):
        weights = psis_weights(np.full(100, value))
        assert np.isnan(weights.pareto_k) and np.isnan(weights.efficiency)
        np.testing.assert_allclose(weights.log_weight, -np.log(100))
    even = psis_weights(np.full(100, -3.0))
    assert even.efficiency == pytest.approx(1)
    assert even.pareto_k < 0.7
    assert not psis_weights(np.array([0.0, *[-1e5] * 99])).pareto_k < 0.7
    few = psis_weights(np.array([*np.linspace(0, 1, 26), *[-1e5] * 102]))
    assert np.isfinite(few.log_weight).all()


def test_fewer_points_than_span_the_space_suggest_no_proposal():
    proposal = Proposal(LOCATION, COVARIANCE, df=25.0)
    points, _ = points_of(proposal, 64)
    log_ratio = np.where(np.arange(64) < 4, 0.0, -1e12)
    with pytest.raises(NotIntegrable, match="a few points dominate"):
        adapt(proposal, points, log_ratio, most_df=60.0)
    log_ratio[:5] = 0.0
    better = adapt(proposal, points, log_ratio, most_df=60.0)
    np.testing.assert_allclose(better.location, points[:5].mean(axis=0))

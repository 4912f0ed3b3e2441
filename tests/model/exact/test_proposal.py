"""Mode, curvature, weights and refitted proposals of densities that are known."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

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

LOCATION = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.25]])


def normal(points: np.ndarray) -> np.ndarray:
    return np.atleast_1d(stats.multivariate_normal(LOCATION, COVARIANCE).logpdf(points))


def points_of(proposal: Proposal, n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a proposal and the log ratios of the normal density there."""
    points = proposal.points(n, np.random.SeedSequence(seed))
    return points, normal(points) - proposal.log_density(points)


def test_mode_and_curvature_are_found_no_wider_than_the_widest_sd():
    mode, covariance = maximise(normal, np.zeros(3), np.diag([0.3, 0.3, 0.3]))
    np.testing.assert_allclose(mode, LOCATION, atol=0.02)
    np.testing.assert_allclose(covariance, COVARIANCE, rtol=1e-3, atol=1e-4)
    start, scale = np.array([0.5, 0.0]), np.diag([0.3, 0.2])
    _, covariance = maximise(lambda points: -0.5 * points[:, 0] ** 2, start, scale)
    np.testing.assert_allclose(np.diag(covariance), [1, WIDEST_SD**2], rtol=0.01)


def test_a_density_that_is_zero_at_the_start_or_beside_the_mode_is_refused():
    with pytest.raises(NotIntegrable, match="zero where its search begins"):
        maximise(lambda points: np.full(len(points), -np.inf), np.zeros(2), np.eye(2))
    with pytest.raises(NotIntegrable, match="zero beside its mode"):
        maximise(lambda points: np.where(points.any(axis=1), -np.inf, 0), np.zeros(2), np.eye(2))


def test_points_of_the_proposal_follow_its_density_and_its_seed(monkeypatch):
    proposal = Proposal(LOCATION, COVARIANCE, df=12.0)
    points, log_ratio = points_of(proposal, 4096)
    np.testing.assert_allclose(points.mean(axis=0), LOCATION, atol=0.03)
    np.testing.assert_allclose(np.cov(points.T), COVARIANCE * 12 / 10, atol=0.06)
    # The mean weight of a normalised density is 1.
    assert np.exp(log_ratio).mean() == pytest.approx(1, abs=0.01)
    one, same, other = (points_of(proposal, 8, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.isclose(one, other).any()
    monkeypatch.setattr(qmc.Sobol, "random", lambda *_: np.repeat([[0.0], [1.0]], 4, axis=1))
    assert np.isfinite(points_of(proposal, 2)[0]).all()


def test_weights_show_how_good_a_proposal_is():
    weights = weigh(points_of(Proposal(LOCATION, COVARIANCE, df=25.0), 2048)[1])
    assert weights.efficiency > 0.85
    assert weights.pareto_k < 0.5
    assert np.exp(weights.log_weight).sum() == pytest.approx(1)
    weights = weigh(points_of(Proposal(LOCATION, COVARIANCE / 10, df=60.0), 2048)[1])
    assert weights.pareto_k > 0.7
    assert weights.efficiency < 0.3


def test_weights_without_a_tail_or_any_density_are_judged():
    for value in (-np.inf, np.nan):
        weights = weigh(np.full(100, value))
        assert np.isnan(weights.pareto_k) and np.isnan(weights.efficiency)
        np.testing.assert_allclose(weights.log_weight, -np.log(100))
    even = weigh(np.full(100, -3.0))
    assert even.efficiency == pytest.approx(1)
    assert even.pareto_k < 0.7
    assert not weigh(np.array([0.0, *[-1e5] * 99])).pareto_k < 0.7
    few = weigh(np.array([*np.linspace(0, 1, 26), *[-1e5] * 102]))
    assert np.isfinite(few.log_weight).all()


def test_the_power_of_weights_is_lowered_until_enough_points_count():
    log_ratio = np.linspace(0, 2000, 500)
    tempered = np.exp(_tempered(log_ratio, 30))
    assert 30 <= 1 / (tempered**2).sum() < 75  # half the power is twice the points, or so
    enough = np.linspace(0, 1, 500)
    np.testing.assert_array_equal(_tempered(enough, 30), weigh(enough).log_weight)
    # A proposal is refitted to ten effective points a dimension.
    proposal = Proposal(LOCATION, COVARIANCE, df=25.0)
    points, _ = points_of(proposal, 500)
    better = refitted(proposal, points, log_ratio, most_df=60.0)
    np.testing.assert_allclose(better.location, tempered @ points)


def test_fewer_points_than_span_the_space_suggest_no_proposal():
    proposal = Proposal(LOCATION, COVARIANCE, df=25.0)
    points, _ = points_of(proposal, 64)
    log_ratio = np.where(np.arange(64) < 4, 0.0, -1e12)
    with pytest.raises(NotIntegrable, match="a few points outweigh all others"):
        refitted(proposal, points, log_ratio, most_df=60.0)
    log_ratio[:5] = 0.0
    better = refitted(proposal, points, log_ratio, most_df=60.0)
    np.testing.assert_allclose(better.location, points[:5].mean(axis=0))


@pytest.mark.parametrize(
    ("tail", "most_df", "df"), [(7.0, 60.0, 7.0), (60.0, 60.0, 60.0), (60.0, 12.0, 12.0)]
)
def test_a_refitted_proposal_has_the_tail_that_makes_weights_most_even(tail, most_df, df):
    target = Proposal(LOCATION, COVARIANCE, tail)
    off = Proposal(LOCATION + 0.2, COVARIANCE * 1.5, df=4.0)
    points = off.points(8192, np.random.SeedSequence(1))
    log_ratio = target.log_density(points) - off.log_density(points)
    better = refitted(off, points, log_ratio, most_df=most_df)
    assert better.df == df
    np.testing.assert_allclose(better.location, LOCATION, atol=0.05)
    if df == tail:
        np.testing.assert_allclose(better.covariance, COVARIANCE, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_points_are_drawn_by_their_weight_and_the_seed(seed):
    weight, of_seed = np.array([0.4, 0.1, 1e-9, 0.3, 0.2]), np.random.SeedSequence(seed)
    chosen, again = (resampled(np.log(weight), 1000, of_seed) for _ in range(2))
    np.testing.assert_allclose(np.bincount(chosen, minlength=5), 1000 * weight, atol=1)
    assert np.abs(np.corrcoef(chosen[1:], chosen[:-1])[0, 1]) < 0.1  # in random order
    np.testing.assert_array_equal(chosen, again)

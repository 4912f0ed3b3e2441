"""Points weighed without groups of lines on tiny screens, by loops and by a plain integral."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from model.design import ScreenDesign
from model.exact.left_out import LeftOut, left_out
from model.exact.proposal import Proposal, Weights, maximise, refitted, weigh
from model.exact.work import n_effects
from model.exact.workers import n_threads
from model.left_out import (
    N_NEAR_POINTS,
    N_POINTS,
    SEED,
    Integrable,
    Slopes,
    _around_mode,
    _averaged,
    _by_search,
    _by_weight,
    _integrated,
    _Weighed,
    _worth,
    affordable,
    at_points,
    integrable,
    is_good,
    leave_out,
    log_sds,
    seconds_of_leaving_out,
)
from schemas.parameters import ModelName, Priors
from tests.designs import design_from_rows, nested_rows, of_lines
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, random_rows
from tests.model.sds import drawn_sds, sds_of, typical
from tests.model.test_left_out import refitted as refit

ROWS = random_rows(2, n_genes=4, n_lines=6)
LINES = np.array(["c0", "c1", "c2", "c3", "c4", "c5"])
GROUPS = np.array([LINES == "c1", LINES == "c4", np.isin(LINES, ["c0", "c3"])])
NOBODY = np.zeros((1, 6), bool)
LARGER = design_from_rows(nested_rows(20, 8, 1, 2, seed=4)[0])
ONE = np.eye(8, dtype=bool)[[4]]
NAMES = ("log_likelihood", "log_density", "beta", "beta_sd")


def tiny() -> ScreenDesign:
    return design_from_rows(ROWS)


def roughly(name: ModelName) -> Integrable:
    return integrable(name, tiny(), Priors(), drawn_sds(name))


@pytest.fixture(scope="module")
def fitted() -> Integrable:
    """Twenty genes, with a proposal around the mode of a density by the engine's own parts."""
    mode, covariance = maximise(
        lambda theta: refit("m4", LARGER, theta)[1], np.full(4, -0.5), 0.4 * np.eye(4)
    )
    screen = integrable("m4", LARGER, Priors(), drawn_sds("m4"))
    return replace(screen, proposal=Proposal(mode, covariance, 7.0))


def singly(screen: Integrable, points: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the exact engine has of every point and group, one of them at a time."""
    found = [
        [
            left_out(
                screen.blocks, screen.terms(point), screen.marginal, screen.by_line, point, group
            )
            for group in groups[:, None]
        ]
        for point in points
    ]
    return {
        name: np.array([[getattr(one, name)[0] for one in row] for row in found]) for name in NAMES
    }


def proposed(proposal: Proposal, points: np.ndarray) -> np.ndarray:
    values = stats.multivariate_t.logpdf(  # type: ignore[call-overload]
        points, proposal.location, proposal.covariance, df=proposal.df
    )
    return np.asarray(values)


def mixed(weight: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> tuple[float, float, float]:
    """Return mean, SD and false sign rate of a mixture of normals."""
    centre, second = weight @ mean, weight @ (sd**2 + mean**2)
    below = weight @ stats.norm.cdf(0, mean, sd)
    return float(centre), float(np.sqrt(second - centre**2)), float(min(below, 1 - below))


def test_slopes_are_those_of_the_mixture_of_normals():
    random = np.random.default_rng(1)
    mean, sd = random.normal(0, 1, (3, 2, 4)), random.uniform(0.5, 2, (3, 2, 4))
    weight = random.dirichlet(np.ones(3), 2).T
    slopes = _averaged(mean, sd, weight)
    for group, gene in np.ndindex(2, 4):
        expected = mixed(weight[:, group], mean[:, group, gene], sd[:, group, gene])
        found = [getattr(slopes, name)[group, gene] for name in ("mean", "sd", "lfsr")]
        assert found == pytest.approx(expected)
    for which in (1, slice(1)):
        for name in ("mean", "sd", "lfsr"):
            np.testing.assert_array_equal(
                getattr(slopes.part(which), name), getattr(slopes, name)[which]
            )


@pytest.mark.parametrize("name", MODELS)
def test_a_screen_is_made_of_the_draws_of_its_sds(name):
    posterior = drawn_sds(name)
    draws = [np.log(posterior[sd].to_numpy()).reshape(-1) for sd in sds_of(name)]
    np.testing.assert_allclose(log_sds(name, posterior), np.transpose(draws), rtol=1e-12)
    screen = integrable(name, tiny(), Priors(), posterior)
    np.testing.assert_allclose(screen.proposal.location, np.mean(draws, axis=1), rtol=1e-12)
    # A t of seven degrees of freedom has a covariance of 7/5 of its scale.
    np.testing.assert_allclose(screen.proposal.covariance, np.cov(draws) * 5 / 7, rtol=1e-12)
    assert screen.proposal.df == 7
    unit = ["cell_line", "guide"] if name == "m4_nested" else ["cell_line", "gene"]
    apart = ROWS.logfc - ROWS.groupby(unit).logfc.transform("mean")
    within_ss = (apart**2).groupby(ROWS.cell_line).sum()
    np.testing.assert_allclose(screen.by_line.within_ss, within_ss, atol=1e-12)
    n_measurements = ROWS.groupby("cell_line").size()
    np.testing.assert_array_equal(screen.by_line.n_measurements, n_measurements)
    # Its means are less the effects that are best at the mean of the logs of the SDs.
    best = dense(name, ROWS, tiny(), Priors(), typical(posterior)).mean
    for block in screen.blocks:
        np.testing.assert_allclose(block.reference[1], best["beta_g"][block.genes], atol=1e-6)
    rows = n_effects(name, 4, ROWS.guide.nunique())
    assert screen.work(3) == 4 * rows * 36


def test_as_many_genes_as_can_be_afforded_are_taken_evenly(monkeypatch):
    """Four genes of two effects each in six lines, without each of two groups: 864."""
    design = tiny()
    for most, genes in ((864, "0123"), (863, "013"), (647, "03"), (431, "0"), (215, "0"), (1, "0")):
        monkeypatch.setattr("model.left_out.MOST_WORK", most)
        assert affordable("m4", design, 2).genes == tuple(f"g{gene}" for gene in genes)
    monkeypatch.setattr("model.left_out.MOST_WORK", 864)
    assert affordable("m4", design, 2) is design


@pytest.mark.parametrize("name", MODELS)
def test_seconds_are_of_all_points_or_of_the_one_that_can_be_afforded(monkeypatch, name):
    def seconds(rows: int, n_points: int) -> float:
        return n_points * (3 * rows * 36 * 1e-10 + 2 * rows * 5e-6) / n_threads()

    guides = ROWS.groupby("gene").guide.nunique().to_numpy()
    nested = name == "m4_nested"
    rows = 8 + nested * guides.sum()
    assert seconds_of_leaving_out(name, tiny(), 2) == pytest.approx(seconds(rows, 128))
    monkeypatch.setattr("model.left_out.MOST_WORK", 128 * 3 * rows * 36)
    assert seconds_of_leaving_out(name, tiny(), 2) == pytest.approx(seconds(rows, 128))
    monkeypatch.setattr("model.left_out.MOST_WORK", 128 * 3 * rows * 36 - 1)
    assert seconds_of_leaving_out(name, tiny(), 2) == pytest.approx(seconds(rows, 1))
    monkeypatch.setattr("model.left_out.MOST_WORK", 0.6 * 3 * rows * 36)
    part = 4 + nested * guides[[0, 3]].sum()
    assert seconds_of_leaving_out(name, tiny(), 2) == pytest.approx(seconds(part, 1))


@pytest.mark.parametrize("at_once", [1, 2 * 8 * 9, 3 * 8 * 9 - 1, 3 * 8 * 9, 10**6])
@pytest.mark.parametrize("n_points", [1, 2, 3])
def test_points_and_groups_are_the_same_in_any_pieces(monkeypatch, at_once, n_points):
    monkeypatch.setattr("model.left_out.AT_ONCE", at_once)
    screen = roughly("m4")
    points = screen.proposal.points(4, np.random.SeedSequence(1))[:n_points]
    told: list[tuple[int, int]] = []
    found = at_points(screen, points, GROUPS, lambda *done: told.append(done))
    for name, values in singly(screen, points, GROUPS).items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-9)
    pieces = {1: 3, 144: 2, 215: 2}.get(at_once, 1)
    total = n_points * pieces
    assert sorted(told) == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("name", MODELS)
def test_one_point_that_stands_for_all_has_what_the_dense_normal_has(monkeypatch, name):
    screen = roughly(name)
    monkeypatch.setattr("model.left_out.MOST_WORK", screen.work(3) * N_POINTS - 1)
    told: list[tuple[int, int]] = []
    out = leave_out(screen, GROUPS, lambda *done: told.append(done))
    assert told == [(1, 1)]
    assert out.pareto_k.shape == (3,)
    assert np.isnan(out.pareto_k).all()

    def naive(group: np.ndarray) -> tuple[float, list[np.ndarray]]:
        kept = ROWS[~ROWS.cell_line.isin(LINES[group])]
        found = dense(name, kept, tiny(), Priors(), typical(drawn_sds(name)))
        mean, sd = found.mean["beta_g"], found.sd("beta_g")
        return found.log_likelihood, [mean, sd, stats.norm.cdf(-np.abs(mean) / sd)]

    whole, slopes = naive(NOBODY[0])
    for attribute, expected in zip(("mean", "sd", "lfsr"), slopes, strict=True):
        np.testing.assert_allclose(getattr(out.whole, attribute), expected, atol=1e-8)
    for number, group in enumerate(GROUPS):
        density, slopes = naive(group)
        assert out.elpd[number] == pytest.approx(whole - density, abs=1e-7)
        for attribute, expected in zip(("mean", "sd", "lfsr"), slopes, strict=True):
            found = getattr(out.without, attribute)
            assert found.shape == (3, 4)
            np.testing.assert_allclose(found[number], expected, atol=1e-8)


def test_points_are_weighed_by_the_density_without_the_group(monkeypatch, fitted):
    monkeypatch.setattr("model.left_out.MOST_WORK", fitted.work(1) * N_POINTS)
    told: list[tuple[int, int]] = []
    out = leave_out(fitted, ONE, lambda *done: told.append(done))
    assert sorted(told) == [(done, 128) for done in range(1, 129)]
    points = fitted.proposal.points(128, np.random.SeedSequence(SEED))
    found = singly(fitted, points, np.concatenate([~ONE & ONE, ONE]))
    ratios = found["log_density"] - proposed(fitted.proposal, points)[:, None]
    whole, without = (weigh(ratio) for ratio in ratios.T)
    assert is_good(whole)
    assert is_good(without)
    for number, weights in enumerate((whole, without)):
        for gene in range(20):
            expected = mixed(
                np.exp(weights.log_weight),
                found["beta"][:, number, gene],
                found["beta_sd"][:, number, gene],
            )
            slopes = out.without.part(0) if number else out.whole
            mine = [getattr(slopes, name)[gene] for name in ("mean", "sd", "lfsr")]
            assert mine == pytest.approx(expected, rel=1e-8)
    evidence = logsumexp(ratios, axis=0)
    np.testing.assert_allclose(out.elpd, [evidence[0] - evidence[1]], rtol=1e-8)
    np.testing.assert_allclose(out.pareto_k, [without.pareto_k], rtol=1e-6)


@pytest.mark.parametrize("shift", [-0.4, 2.0])
def test_points_far_from_the_mass_are_followed_by_ones_near_it(fitted, shift):
    """Against a plain integral over many points of the proposal that was not shifted."""
    away = replace(fitted.proposal, location=fitted.proposal.location + shift)
    out = leave_out(replace(fitted, proposal=away), ONE)
    wide = replace(fitted.proposal, covariance=1.5 * fitted.proposal.covariance)
    points = wide.points(2048, np.random.SeedSequence(7))
    evidence = []
    for slopes, lines in ((out.whole, range(8)), (out.without.part(0), np.flatnonzero(~ONE[0]))):
        _, density, beta = refit("m4", of_lines(LARGER, lines), points)
        ratio = density - proposed(wide, points)
        evidence.append(logsumexp(ratio) - np.log(2048))
        mean = np.exp(ratio - logsumexp(ratio)) @ beta
        np.testing.assert_allclose(slopes.mean, mean, atol=0.005)
    np.testing.assert_allclose(out.elpd, [evidence[0] - evidence[1]], atol=0.05)
    assert (out.pareto_k <= 0.7).all()


def expect(
    found: tuple[Slopes, float, float], screen: Integrable, proposal: Proposal, n_points: int
) -> None:
    """Hold what was integrated without ONE to loops over points of a proposal."""
    points = proposal.points(n_points, np.random.SeedSequence(SEED))
    each = singly(screen, points, ONE)
    ratio = each["log_density"][:, 0] - proposed(proposal, points)
    weights = weigh(ratio)
    assert is_good(weights)
    slopes, evidence, pareto_k = found
    assert evidence == pytest.approx(logsumexp(ratio) - np.log(n_points), rel=1e-8)
    assert pareto_k == pytest.approx(weights.pareto_k, rel=1e-6)
    mean = np.exp(weights.log_weight) @ each["beta"][:, 0]
    np.testing.assert_allclose(slopes.mean, mean[None], atol=1e-8)


def weighed(screen: Integrable) -> _Weighed:
    points = screen.proposal.points(N_POINTS, np.random.SeedSequence(3))
    return _Weighed(screen.proposal, points, at_points(screen, points, ONE))


def test_where_points_will_not_do_fewer_around_the_mode_are_tried_first(fitted):
    covariance = 0.02 * fitted.proposal.covariance
    narrow = replace(fitted, proposal=replace(fitted.proposal, covariance=covariance))
    known = weighed(narrow)
    assert not is_good(known.weights)
    closer = _around_mode(narrow, ONE, known)
    assert closer is not None
    found = _integrated(narrow, ONE, known.points, known.found)
    expect(found, fitted, closer, N_NEAR_POINTS)


def test_where_a_density_is_zero_somewhere_the_mode_is_searched(fitted):
    known = weighed(fitted)
    known.found.log_density[5] = -np.inf
    known.found.log_density[6] = np.nan
    assert _around_mode(fitted, ONE, known) is None
    assert _by_weight(fitted, ONE, known) is None
    closer = _by_search(fitted, ONE, known)
    assert closer is not None
    found = _integrated(fitted, ONE, known.points, known.found)
    expect(found, fitted, closer, N_POINTS)


def test_where_one_point_outweighs_all_others_weights_suggest_nothing(fitted):
    known = weighed(fitted)
    assert _by_weight(fitted, ONE, known) is not None
    alone = weighed(fitted)
    alone.found.log_density[5] += 1e12
    assert _by_weight(fitted, ONE, alone) is None


PROPOSAL = Proposal(np.array([1.0, -2.0]), np.array([[0.5, 0.2], [0.2, 0.3]]), 7.0)


def quadratic(precision: np.ndarray, mode: list[float]) -> _Weighed:
    """Points of PROPOSAL, where a log density is 3 less a quadratic."""
    points = PROPOSAL.points(64, np.random.SeedSequence(1))
    density = 3.0 + np.array([[-0.5 * row @ precision @ row] for row in points - mode])
    empty = np.zeros((64, 1, 0))
    return _Weighed(PROPOSAL, points, LeftOut(density, density, empty, empty))


def test_the_mode_of_a_quadratic_is_found_and_its_curvature():
    screen, mode = roughly("m4"), [1.5, -1.0]
    for scale in (0.05, 1.0, 20.0):
        precision = scale * np.array([[2.0, -0.5], [-0.5, 1.0]])
        found = _around_mode(screen, NOBODY, quadratic(precision, mode))
        assert found is not None
        np.testing.assert_allclose(found.location, mode, rtol=1e-7)
        np.testing.assert_allclose(found.covariance, np.linalg.inv(precision), rtol=1e-7)
        assert found.df == 7
    for rising in (np.array([[1.0, 2.0], [2.0, 1.0]]), -np.eye(2)):
        assert _around_mode(screen, NOBODY, quadratic(rising, mode)) is None
    known = quadratic(np.eye(2), mode)
    known.found.log_density[3] = -np.inf
    assert _around_mode(screen, NOBODY, known) is None


def test_the_proposal_that_weights_suggest_is_that_of_the_density_over_the_proposal():
    screen = roughly("m4")
    known = quadratic(2 * np.eye(2), [1.2, -1.8])
    ratio = known.found.log_density[:, 0] - proposed(PROPOSAL, known.points)
    np.testing.assert_allclose(known.log_ratio, ratio, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(known.weights.log_weight, weigh(ratio).log_weight, rtol=1e-7)
    expected = refitted(PROPOSAL, known.points, ratio, 7.0)
    found = _by_weight(screen, NOBODY, known)
    assert found is not None
    np.testing.assert_allclose(found.location, expected.location, rtol=1e-9)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-9)
    assert found.df == expected.df


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_mode_that_is_searched_is_that_of_the_density_without_the_group():
    screen = roughly("m4")
    known = quadratic(np.eye(2), [0.0, 0.0])
    found = _by_search(screen, GROUPS[2:], known)
    assert found is not None
    without = of_lines(tiny(), np.flatnonzero(~GROUPS[2]))
    mode, covariance = maximise(
        lambda theta: refit("m4", without, theta)[1], np.full(4, -0.5), 0.4 * np.eye(4)
    )
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((found.location - mode) / sd, 0, atol=0.05)
    np.testing.assert_allclose(found.covariance, covariance, atol=0.1 * sd.max() ** 2)
    assert found.df == 7
    nowhere = replace(screen.proposal, location=np.full(4, 1e3))
    assert _by_search(replace(screen, proposal=nowhere), GROUPS[2:], known) is None


@pytest.mark.parametrize(
    ("pareto_k", "efficiency", "good"),
    [
        (0.7, 0.5, True),
        (0.71, 0.9, False),
        (0.1, 0.49, False),
        (np.inf, 0.9, False),
        (np.nan, np.nan, False),
    ],
)
def test_points_will_do_up_to_the_bounds(pareto_k, efficiency, good):
    assert is_good(Weights(np.zeros(2), pareto_k, efficiency)) == good


def test_a_bearable_tail_is_worth_more_than_efficiency(monkeypatch):
    order = [(np.nan, np.nan), (0.71, 0.2), (0.9, 0.8), (0.7, 0.1), (0.2, 0.4), (0.6, 0.45)]
    worths = []
    for pareto_k, efficiency in order:
        weights = Weights(np.zeros(2), pareto_k, efficiency)
        monkeypatch.setattr("model.left_out.weigh", lambda _, weights=weights: weights)
        worths.append(_worth(quadratic(np.eye(2), [0.0, 0.0])))
    assert worths == sorted(worths)
    assert worths[0] == (False, 0)

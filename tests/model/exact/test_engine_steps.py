"""The steps of the exact engine, each on a screen of three genes in four lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from model.exact import engine as module
from model.exact.density import InterpolatedDensity, Points, ScreenDensity
from model.exact.engine import Weighted
from model.exact.marginal import Marginal
from model.exact.proposal import Proposal, weigh
from model.exact.search import Located
from model.exact.workers import ThisProcess
from schemas.parameters import FitParameters, ModelName, Sampling
from tests.designs import design_from_rows
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, PRIORS, Pieces, random_rows

ROWS = random_rows(1)
DESIGN = design_from_rows(ROWS)
THETA = np.array([-0.3, -0.5, 0.1, -0.2, -0.4, 0.0, -0.6])


def seed_of(n: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(n)


def parameters_of(model: ModelName, draws: int = 64, chains: int = 2) -> FitParameters:
    sampling = Sampling(draws=draws, chains=chains)
    return FitParameters(model=model, engine="exact", priors=PRIORS, sampling=sampling)


def located_at(pieces: Pieces) -> Located:
    """A proposal around the point of `pieces`, and the screen itself for a density."""
    screen = ScreenDensity(pieces.marginal, ThisProcess().hold(pieces.blocks), None)
    covariance = 0.09 * np.eye(len(pieces.theta))
    return Located(pieces.blocks, screen, screen, Proposal(pieces.theta, covariance, 7.0))


@dataclass
class ThisShare:
    """The density of proposals, the nth at the nth call, in some of the 16 orthants around them.

    Of a proposal's points, a power of two, the same share lies in every orthant.
    """

    marginal: Marginal
    proposals: Sequence[Proposal]
    sixteenths: Sequence[int]
    asked: list[np.ndarray] = field(default_factory=list)

    def __call__(self, theta: np.ndarray, noise: np.ndarray | None = None) -> Points:
        at = min(len(self.asked), len(self.proposals) - 1)
        self.asked.append(theta)
        log_density = self.proposals[at].log_density(theta)
        orthant = (theta[:, :4] > self.proposals[at].location[:4]) @ [8, 4, 2, 1]
        log_density[orthant >= self.sixteenths[at]] = -np.inf
        return Points(log_density, np.zeros((len(theta), 0)) if noise is None else noise)


@pytest.fixture
def pieces() -> Pieces:
    return Pieces("m4", ROWS, THETA)


# The pilot


def shifted(pieces: Pieces, n: int) -> list[Proposal]:
    """Proposals far from each other."""
    eye = np.eye(len(pieces.theta))
    return [Proposal(pieces.theta + 100.0 * at, (1 + at) * eye, 7.0) for at in range(n)]


@pytest.mark.parametrize(
    ("sixteenths", "n_rounds", "best"),
    [
        ([14], 1, 0),  # 7 of 8 are good enough
        ([12, 14], 2, 1),  # 3 of 4 are not
        ([2, 4, 8], 3, 2),
        ([8, 2, 4], 3, 0),
        ([2, 8, 4], 3, 1),
        ([8, 8, 8], 3, 0),  # of equals the first
        ([0], 1, 0),  # no weight at all tells nothing
    ],
)
def test_the_pilot_takes_the_best_of_few_proposals(sixteenths, n_rounds, best, pieces, monkeypatch):
    proposals = shifted(pieces, len(sixteenths))
    density = ThisShare(pieces.marginal, proposals, sixteenths)
    located = replace(located_at(pieces), density=density, proposal=proposals[0])
    refits: list[tuple[Any, ...]] = []

    def refitted(*arguments: Any) -> Proposal:
        refits.append(arguments)
        return proposals[min(len(refits), len(proposals) - 1)]

    monkeypatch.setattr(module, "refitted", refitted)
    assert module._piloted(located, seed_of(3)) is proposals[best]
    assert len(density.asked) == n_rounds
    for at, (proposal, points, log_ratio, df) in enumerate(refits[: n_rounds - 1]):
        assert proposal is proposals[at]
        assert points is density.asked[at]
        assert points.shape == (512, 4)
        assert df == 7.0
        inside = np.isfinite(log_ratio)
        assert inside.mean() == sixteenths[at] / 16
        np.testing.assert_allclose(log_ratio[inside], 0, atol=1e-9)
    # Every round has points of its own, and the same seed the same.
    for one, other in pairwise(density.asked):
        assert not np.isclose(one, other - 100).all(axis=1).any()
    again = ThisShare(pieces.marginal, proposals, sixteenths)
    refits.clear()
    module._piloted(replace(located, density=again), seed_of(3))
    for one, other in zip(density.asked, again.asked, strict=True):
        np.testing.assert_array_equal(one, other)


# Weighing


@pytest.mark.parametrize(
    ("draws", "sixteenths", "n_points"),
    [
        (64, 16, 64),
        (50, 7, 64),  # 28 of 64 points count: half of 50 draws at least
        (50, 6, 256),  # 24 do not do, 96 do
        (64, 1, 1024),  # 4, 16, 64
        (128, 7, 512),  # 56, 224
        (128, 0, 128),  # no weight at all: more would be none either
    ],
)
def test_more_points_are_weighed_where_few_of_them_count(draws, sixteenths, n_points, pieces):
    proposal = located_at(pieces).proposal
    density = ThisShare(pieces.marginal, [proposal], [sixteenths])
    parameters = parameters_of("m4", draws=draws, chains=3)
    weighted = module._weighted(density, proposal, parameters, seed_of(1))
    assert weighted.theta.shape == (3, n_points, 4)
    assert weighted.log_ratio.shape == (3, n_points)


def test_no_more_points_are_weighed_than_sixteen_times_as_many(pieces):
    proposal = located_at(pieces).proposal
    beyond = proposal.location[0] + 0.3 * stats.t(7).isf(1 / 64)

    class Far(ThisShare):
        def __call__(self, theta: np.ndarray, noise: np.ndarray | None = None) -> Points:
            found = super().__call__(theta, noise)
            found.log_density[theta[:, 0] < beyond] = -np.inf
            return found

    density = Far(pieces.marginal, [proposal], [16])
    weighted = module._weighted(density, proposal, parameters_of("m4"), seed_of(1))
    assert 0 < weighted.overall.efficiency * 1024 < 32
    assert weighted.theta.shape == (2, 1024, 4)


@pytest.mark.parametrize("model", MODELS)
def test_chains_have_points_and_noise_of_their_own(model: ModelName):
    pieces = Pieces(model, ROWS, THETA)
    located = located_at(pieces)
    found = module._weigh_chains(located.density, located.proposal, 3, 256, seed_of(2))
    theta, n_common = found.theta, 4 + len(pieces.marginal.means)
    assert theta.shape == (3, 256, len(pieces.theta))
    assert found.common.shape == (3, 256, n_common)
    assert len(np.unique(theta[..., 0])) == 3 * 256
    z = []
    for chain in range(3):
        at = located.screen(theta[chain]).log_density
        np.testing.assert_allclose(found.log_density[chain], at, rtol=1e-10)
        proposed = stats.multivariate_t(pieces.theta, located.proposal.covariance, 7)
        ratio = at - proposed.logpdf(theta[chain])
        np.testing.assert_allclose(found.log_ratio[chain], ratio, atol=1e-8)
        ratios = theta[chain] @ pieces.marginal.to_ratios().T
        factored = pieces.marginal.factored(theta[chain], located.screen.sums(ratios))
        mean = pieces.marginal.draw_common(factored, theta[chain], None)
        lower = factored.lower[:, :-1, :-1]
        sigma = np.exp(theta[chain, :, pieces.marginal.hyperparameters.index("sigma")])
        away = np.einsum("sji,sj->si", lower, found.common[chain] - mean)
        z.append(away / sigma[:, None])
    # The noise is standard normal, and of one chain not that of another, nor of its points.
    stacked = np.array(z)
    assert stats.kstest(stacked.ravel(), "norm").pvalue > 0.01
    assert not np.isclose(stacked[0], stacked[1]).any()
    columns = np.concatenate([*stacked, *theta], axis=1)
    correlation = np.corrcoef(columns.T)[: 3 * n_common]
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 4.5 / 16
    whole = weigh(found.log_ratio.reshape(-1))
    np.testing.assert_array_equal(found.overall.log_weight, whole.log_weight)
    again = module._weigh_chains(located.density, located.proposal, 3, 256, seed_of(2))
    np.testing.assert_array_equal(found.theta, again.theta)
    np.testing.assert_array_equal(found.common, again.common)


# Drawing


def weighted_around(
    pieces: Pieces, n_chains: int, n_points: int, sd: float = 0.2, seed: int = 3
) -> Weighted:
    """Points around that of `pieces`, with any weights."""
    random = np.random.default_rng(seed)
    theta = pieces.theta + sd * random.standard_normal((n_chains, n_points, len(pieces.theta)))
    log_ratio = random.normal(2, 1, (n_chains, n_points)) + np.arange(n_chains)[:, None]
    common = random.standard_normal((n_chains, n_points, 4 + len(pieces.marginal.means)))
    log_density = random.standard_normal((n_chains, n_points))
    return Weighted(theta, log_density, log_ratio, common, weigh(log_ratio.ravel()))


@pytest.mark.parametrize("model", MODELS)
def test_every_chain_draws_among_its_own_points_by_their_weight(model: ModelName):
    pieces = Pieces(model, ROWS, THETA)
    located, parameters = located_at(pieces), parameters_of(model, draws=100, chains=3)
    weighted = weighted_around(pieces, 3, 32)
    tree = module._drawn(pieces.design, parameters, located, weighted, seed_of(4))
    posterior, statistics = tree["posterior"].dataset, tree["sample_stats"].dataset
    orders = []
    for chain in range(3):
        values = posterior["sigma_gamma"].to_numpy()[chain]
        points = np.exp(
            weighted.theta[chain, :, pieces.marginal.hyperparameters.index("sigma_gamma")]
        )
        chosen = np.abs(np.log(values[:, None] / points)).argmin(axis=1)
        np.testing.assert_allclose(values, points[chosen], rtol=1e-12)
        for at, name in enumerate(pieces.marginal.hyperparameters):
            np.testing.assert_allclose(
                posterior[name].to_numpy()[chain], np.exp(weighted.theta[chain, chosen, at])
            )
        for at, name in enumerate(pieces.marginal.means_in_order):
            np.testing.assert_array_equal(
                posterior[name].to_numpy()[chain], weighted.common[chain, chosen, 4 + at]
            )
        np.testing.assert_allclose(
            posterior["gamma_c"].to_numpy()[chain],
            weighted.common[chain, chosen, :4] + pieces.marginal.gamma_reference,
        )
        np.testing.assert_array_equal(
            statistics["log_density"].to_numpy()[chain], weighted.log_density[chain, chosen]
        )
        weight = np.exp(weighted.overall.log_weight[32 * chain : 32 * (chain + 1)])
        counts = np.bincount(chosen, minlength=32)
        assert np.abs(counts - 100 * weight / weight.sum()).max() < 1
        orders.append(chosen)
    assert (orders[0] != orders[1]).any() and (orders[1] != orders[2]).any()
    assert posterior["alpha_g"].shape == (3, 100, 3)
    assert posterior["alpha_g"].dtype == np.float64
    again = module._drawn(pieces.design, parameters, located, weighted, seed_of(4))
    other = module._drawn(pieces.design, parameters, located, weighted, seed_of(5))
    for variable in map(str, posterior.data_vars):
        np.testing.assert_array_equal(posterior[variable], again["posterior"][variable])
        assert not np.array_equal(posterior[variable], other["posterior"][variable])


@pytest.mark.parametrize("model", MODELS)
def test_what_genes_share_is_taken_from_points_by_name(model: ModelName):
    pieces = Pieces(model, ROWS, THETA)
    n_means = len(pieces.marginal.means)
    random = np.random.default_rng(1)
    theta = random.standard_normal((5, len(pieces.theta)))
    common = random.standard_normal((5, 4 + n_means))
    found = module._common_variables(pieces.design, located_at(pieces), theta, common)
    names = ("mu_alpha", "mu_beta", "mu_gamma")[:n_means]
    sds = ["sigma_alpha", "sigma_gamma", "sigma_beta", "sigma"]
    if model == "m4_nested":
        sds += ["sigma_guide", "sigma_gene_line", "sigma_guide_line"]
    expected = {name: np.exp(theta[:, at]) for at, name in enumerate(sds)}
    expected |= {name: common[:, 4 + at] for at, name in enumerate(names)}
    expected["gamma_c"] = common[:, :4] + pieces.marginal.gamma_reference
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_effects_follow_the_dense_normal_at_every_point(model: ModelName, monkeypatch):
    """All variables together, of draws at two points by turns, 2,000 each; in several blocks."""
    monkeypatch.setattr("model.exact.blocks.BLOCK_SIZE", 1)
    pieces = Pieces(model, ROWS, THETA)
    assert len(pieces.blocks) == 3
    located, size = located_at(pieces), len(pieces.theta)
    points = np.stack([pieces.theta, pieces.theta + np.linspace(0.5, -0.4, size)])
    theta = np.tile(points, (2000, 1))
    noise = np.random.default_rng(5).standard_normal((4000, pieces.marginal.size - 1))
    ratios = points @ pieces.marginal.to_ratios().T
    sums = np.tile(located.screen.sums(ratios), (2000, 1))
    factored = pieces.marginal.factored(theta, sums)
    common = pieces.marginal.draw_common(factored, theta, noise)
    drawn = module._common_variables(pieces.design, located, theta, common)
    effects = module._effects(pieces.design, located, theta, common, seed_of(6))
    assert effects["delta_k"].shape == (4000, len(DESIGN.guides) if model == "m4_nested" else 0)
    drawn |= effects
    for at, point in enumerate(points):
        sd = dict(zip(pieces.marginal.hyperparameters, np.exp(point), strict=True))
        naive = dense(model, ROWS, pieces.design, PRIORS, sd)
        values = [drawn[name][at::2].reshape(2000, -1) for name in naive.mean]
        stacked = np.concatenate(values, axis=1)
        spread = np.sqrt(np.diag(naive.covariance))
        away = stacked.mean(axis=0) - np.concatenate(list(naive.mean.values()))
        assert np.abs(away / spread).max() < 4 / np.sqrt(2000)
        np.testing.assert_allclose(
            np.cov(stacked.T) / np.outer(spread, spread),
            naive.covariance / np.outer(spread, spread),
            atol=0.12,
        )
    again = module._effects(pieces.design, located, theta, common, seed_of(6))
    other = module._effects(pieces.design, located, theta, common, seed_of(7))
    for name in ("alpha_g", "beta_g"):
        np.testing.assert_array_equal(effects[name], again[name])
        assert not np.isclose(effects[name], other[name]).all(axis=1).any()


# Quality


def test_evidence_is_the_mean_of_the_weights_and_its_error_that_between_chains(pieces):
    located = located_at(pieces)
    located.screen.n_passes = 17
    weighted = weighted_around(pieces, 3, 4)
    weights = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 8.0], [1.0, 1.0, 1.0, 1.0]])
    of_chains = [2.5, 3.5, 1.0]  # their mean is 7 / 3
    weighted = replace(weighted, log_ratio=np.log(weights) - 2000)
    found = module._quality(located, weighted, np.concatenate(weighted.theta))
    relative = [3 / 7 * mean for mean in of_chains]
    sd = np.sqrt(sum((one - 1) ** 2 for one in relative) / 2)
    assert found == {
        "pareto_k": weighted.overall.pareto_k,
        "importance_efficiency": weighted.overall.efficiency,
        "n_points": 12.0,
        "log_evidence": pytest.approx(np.log(7 / 3) - 2000, abs=1e-9),
        "log_evidence_mcse": pytest.approx(sd / np.sqrt(3), rel=1e-9),
        "interpolation_error": 0.0,
        "n_passes": 17.0,
    }


@pytest.mark.parametrize("worst", [0, 1, 4, 7])
def test_the_interpolation_is_tried_at_eight_draws_taken_evenly(worst, pieces):
    located = located_at(pieces)
    box = InterpolatedDensity(
        located.screen, pieces.theta, 0.02 * np.eye(4), 5.0, zero_outside=True
    )
    box.raise_degree(3)
    located = replace(located, density=box)
    weighted = weighted_around(pieces, 2, 64, sd=0.05)
    theta = np.tile(pieces.theta, (71, 1))
    theta[10 * worst] += 0.3 * np.array([1, 0, -1, 0])
    assert box.inside(theta).all()
    error = box(theta).log_density - located.screen(theta).log_density
    assert np.abs(error).argmax() == 10 * worst
    found = module._quality(located, weighted, theta)
    assert found["interpolation_error"] == pytest.approx(np.abs(error).max(), rel=1e-6)
    # Where the box cuts off more than a hundredth of the weighted points, nothing is known.
    weighted.theta[0, :2, 3] += 50
    assert module._quality(located, weighted, theta)["interpolation_error"] == np.inf

"""The exact engine: its steps, its draws against the dense normal, published numbers and lme4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from deployments.demo import comparison
from model.engines import NoIntegral, run_engine
from model.exact import engine as module
from model.exact.density import InterpolatedDensity, Points, ScreenDensity
from model.exact.engine import Weighted, sample
from model.exact.marginal import Marginal
from model.exact.proposal import Proposal, weigh
from model.exact.search import Located
from model.exact.workers import ThisProcess
from model.preparation import prepare
from model.summary import parameter_summary
from schemas.dataset import Dataset
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from schemas.posterior import CONTRACTS
from tasks.validate import validate
from tests.designs import design_from_rows, nested_rows, original_rows
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, PRIORS, Pieces, random_rows

ROWS = random_rows(1)  # three genes, four lines
DESIGN = design_from_rows(ROWS)
THETA = np.array([-0.3, -0.5, 0.1, -0.2, -0.4, 0.0, -0.6])


def seed_of(n: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(n)


def parameters_of(model: ModelName, draws: int = 64, chains: int = 2, **of: Any) -> FitParameters:
    sampling = Sampling(draws=draws, chains=chains)
    return FitParameters(model=model, engine="exact", sampling=sampling, **{"priors": PRIORS} | of)


def located_at(pieces: Pieces) -> Located:
    """A proposal around the point of `pieces`, and the screen itself as the density."""
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
    beyond: float = -np.inf
    asked: list[np.ndarray] = field(default_factory=list)

    def __call__(self, theta: np.ndarray, noise: np.ndarray | None = None) -> Points:
        at = min(len(self.asked), len(self.proposals) - 1)
        self.asked.append(theta)
        log_density = self.proposals[at].log_density(theta)
        orthant = (theta[:, :4] > self.proposals[at].location[:4]) @ [8, 4, 2, 1]
        log_density[(orthant >= self.sixteenths[at]) | (theta[:, 0] < self.beyond)] = -np.inf
        return Points(log_density, np.zeros((len(theta), 0)) if noise is None else noise)


# ---- steps


@pytest.mark.parametrize(
    ("sixteenths", "n_rounds", "best"),
    [
        ([14], 1, 0),  # 7 of 8 are good enough
        ([12, 14], 2, 1),  # 3 of 4 are not
        ([2, 4, 8], 3, 2),
        ([2, 8, 4], 3, 1),
        ([8, 8, 8], 3, 0),  # the first of equals
        ([0], 1, 0),  # without any weight there is nothing to refit to
    ],
)
def test_the_pilot_takes_the_best_of_few_proposals(sixteenths, n_rounds, best, monkeypatch):
    pieces = Pieces("m4", ROWS, THETA)
    proposals = [
        Proposal(pieces.theta + 100.0 * at, (1 + at) * np.eye(4), 7.0)
        for at in range(len(sixteenths))
    ]
    refits: list[tuple[Any, ...]] = []

    def refitted(*arguments: Any) -> Proposal:
        refits.append(arguments)
        return proposals[min(len(refits), len(proposals) - 1)]

    monkeypatch.setattr(module, "refitted", refitted)
    density, again = (ThisShare(pieces.marginal, proposals, sixteenths) for _ in range(2))
    located = replace(located_at(pieces), density=density, proposal=proposals[0])
    assert module._piloted(located, seed_of(3)) is proposals[best]
    assert len(density.asked) == n_rounds
    for at, (proposal, points, log_ratio, df) in enumerate(refits[: n_rounds - 1]):
        assert proposal is proposals[at] and points is density.asked[at] and df == 7.0
        assert points.shape == (512, 4)
        assert np.isfinite(log_ratio).mean() == sixteenths[at] / 16
        np.testing.assert_allclose(log_ratio[np.isfinite(log_ratio)], 0, atol=1e-9)
    # Every round has its own points, and an equal seed gives equal points.
    for one, other in pairwise(density.asked):
        assert not np.isclose(one, other - 100).all(axis=1).any()
    refits.clear()
    module._piloted(replace(located, density=again), seed_of(3))
    np.testing.assert_array_equal(density.asked, again.asked)


@pytest.mark.parametrize(
    ("draws", "sixteenths", "beyond", "n_points"),
    [
        (64, 16, -9, 64),
        (50, 7, -9, 64),  # 28 of 64 points count: half of 50 draws at least
        (50, 6, -9, 256),  # 24 are too few, 96 are not
        (64, 1, -9, 1024),  # 4, 16, 64
        (64, 16, 0.3 * stats.t(7).isf(1 / 64), 1024),  # no more than 16 times as many
        (128, 0, -9, 128),  # no weight at all: more points would have none either
    ],
)
def test_more_points_are_weighed_where_few_of_them_count(draws, sixteenths, beyond, n_points):
    pieces = Pieces("m4", ROWS, THETA)
    proposal = located_at(pieces).proposal
    density = ThisShare(pieces.marginal, [proposal], [sixteenths], THETA[0] + beyond)
    weighted = module._weighted(density, proposal, parameters_of("m4", draws, 3), seed_of(1))
    assert weighted.theta.shape == (3, n_points, 4)
    assert weighted.log_ratio.shape == (3, n_points)


def weighted_around(pieces: Pieces, n_chains: int, n_points: int, sd: float = 0.2) -> Weighted:
    """Points around that of `pieces`, with any weights."""
    random = np.random.default_rng(3)
    theta = pieces.theta + sd * random.standard_normal((n_chains, n_points, len(pieces.theta)))
    log_ratio = random.normal(2, 1, (n_chains, n_points)) + np.arange(n_chains)[:, None]
    common = random.standard_normal((n_chains, n_points, 4 + len(pieces.marginal.means)))
    log_density = random.standard_normal((n_chains, n_points))
    return Weighted(theta, log_density, log_ratio, common, weigh(log_ratio.ravel()))


def test_every_chain_draws_among_its_own_points_by_their_weight():
    pieces = Pieces("m4", ROWS, THETA)
    weighted = weighted_around(pieces, 3, 32)
    drawn, again, other = (
        module._drawn(
            DESIGN, parameters_of("m4", 100, 3), located_at(pieces), weighted, seed_of(seed)
        )
        for seed in (4, 4, 5)
    )
    log_density = drawn["sample_stats"]["log_density"].to_numpy()
    orders = []
    for chain in range(3):
        chosen = [weighted.log_density[chain].tolist().index(one) for one in log_density[chain]]
        weight = np.exp(weighted.overall.log_weight[32 * chain : 32 * (chain + 1)])
        counts = np.bincount(chosen, minlength=32)
        assert np.abs(counts - 100 * weight / weight.sum()).max() < 1
        orders.append(chosen)
    assert orders[0] != orders[1] != orders[2]
    for name, values in drawn["posterior"].data_vars.items():
        np.testing.assert_array_equal(values, again["posterior"][name])
        assert not np.array_equal(values, other["posterior"][name])


def test_evidence_is_the_mean_weight_and_its_error_that_between_chains():
    pieces = Pieces("m4", ROWS, THETA)
    located = located_at(pieces)
    located.screen.n_passes = 17
    weights = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 8.0], [1.0, 1.0, 1.0, 1.0]])
    weighted = replace(weighted_around(pieces, 3, 4), log_ratio=np.log(weights) - 2000)
    relative = 3 / 7 * np.array([2.5, 3.5, 1.0])  # the mean of the chains is 7 / 3
    assert module._quality(located, weighted, np.concatenate(weighted.theta)) == {
        "pareto_k": weighted.overall.pareto_k,
        "importance_efficiency": weighted.overall.efficiency,
        "n_points": 12.0,
        "log_evidence": pytest.approx(np.log(7 / 3) - 2000, abs=1e-9),
        "log_evidence_mcse": pytest.approx(np.std(relative, ddof=1) / np.sqrt(3), rel=1e-9),
        "interpolation_error": 0.0,
        "n_passes": 17.0,
    }


@pytest.mark.parametrize("worst", [0, 4, 7])
def test_the_interpolation_error_is_the_largest_at_eight_draws_taken_evenly(worst):
    pieces = Pieces("m4", ROWS, THETA)
    located = located_at(pieces)
    box = InterpolatedDensity(
        located.screen, pieces.theta, 0.02 * np.eye(4), 5.0, zero_outside=True
    )
    box.raise_degree(3)
    located = replace(located, density=box)
    weighted = weighted_around(pieces, 2, 64, sd=0.05)
    theta = np.tile(pieces.theta, (71, 1))
    theta[10 * worst] += 0.3 * np.array([1, 0, -1, 0])
    error = np.abs(box(theta).log_density - located.screen(theta).log_density)
    assert error.argmax() == 10 * worst
    found = module._quality(located, weighted, theta)
    assert found["interpolation_error"] == pytest.approx(error.max(), rel=1e-6)
    # The error is unknown where the box excludes more than a hundredth of the weighted points.
    weighted.theta[0, :2, 3] += 50
    assert module._quality(located, weighted, theta)["interpolation_error"] == np.inf


def test_points_are_weighed_anew_while_their_tail_is_too_heavy(monkeypatch):
    calls: dict[str, list[tuple[tuple[Any, ...], Any]]] = {}

    def record(name: str) -> None:
        function, calls[name] = getattr(module, name), []

        def recorded(*arguments: Any) -> Any:
            calls[name].append((arguments, function(*arguments)))
            return calls[name][-1][1]

        monkeypatch.setattr(module, name, recorded)

    for name in ("_piloted", "refitted", "_weighted", "_drawn"):
        record(name)

    def rounds_with(pareto_k_max: float) -> list[tuple[tuple[Any, ...], Any]]:
        for found in calls.values():
            found.clear()
        parameters = parameters_of("m4")
        limits = parameters.thresholds.model_copy(update={"pareto_k_max": pareto_k_max})
        sample(DESIGN, parameters.model_copy(update={"thresholds": limits}), 9)
        return calls["_weighted"]

    ((_, first),) = rounds_with(np.inf)
    ((_, same),) = rounds_with(first.overall.pareto_k)  # just as heavy as it may be
    np.testing.assert_array_equal(same.theta, first.theta)
    rounds = rounds_with(-5.0)
    (_, pilot_seed), piloted = calls["_piloted"][0]
    assert len(rounds) == 4 and rounds[0][0][1] is piloted
    for (before, weighted), (given, proposal), (after, _) in zip(
        rounds[:-1], calls["refitted"][-3:], rounds[1:], strict=True
    ):
        assert given[0] is before[1] and after[1] is proposal and given[3] == 7
        np.testing.assert_array_equal(given[1], np.concatenate(weighted.theta))
        np.testing.assert_array_equal(given[2], np.concatenate(weighted.log_ratio))
    drawn = calls["_drawn"][0][0]
    assert drawn[3] is rounds[-1][1]
    # Every step has its own seed, and all derive from the one given.
    seeds = [pilot_seed, drawn[4], *(arguments[3] for arguments, _ in rounds)]
    assert {one.entropy for one in seeds} == {9}
    assert len({one.spawn_key for one in seeds}) == 6


# ---- draws


@pytest.fixture(scope="module", params=MODELS)
def fitted(request) -> tuple[ModelName, xr.DataTree, list[tuple[int, int]]]:
    """A fit of the small screen in several blocks, and the progress it reported."""
    reports: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.exact.blocks.BLOCK_SIZE", 1)
        tree = sample(DESIGN, parameters_of(request.param, 256), 5, lambda *of: reports.append(of))
    return request.param, tree, reports


def test_draws_follow_the_dense_normal_given_their_standard_deviations(fitted):
    model, tree, _ = fitted
    draws = {name: values.to_numpy().reshape(512, -1) for name, values in tree["posterior"].items()}
    log_density = tree["sample_stats"]["log_density"].to_numpy().ravel()
    z = []
    for at in range(0, 512, 2):
        sd = {name: float(draws[name][at, 0]) for name in draws if name.startswith("sigma")}
        naive = dense(model, ROWS, DESIGN, PRIORS, sd)
        away = np.concatenate([draws[name][at] - mean for name, mean in naive.mean.items()])
        z.append(np.linalg.solve(np.linalg.cholesky(naive.covariance), away))
        # Every prior is an exponential one of rate 1; theta is the log of the SDs.
        expected = naive.log_likelihood - sum(sd.values()) + sum(map(np.log, sd.values()))
        assert log_density[at] == pytest.approx(expected, abs=0.05)
    assert stats.kstest(np.ravel(z), "norm").pvalue > 0.01
    # Standard normal and independent: of each other, of the other chain, of the draw before.
    assert np.abs(np.mean(z, axis=0)).max() < 4 / np.sqrt(256)
    np.testing.assert_allclose(np.cov(np.transpose(z)), np.eye(len(z[0])), atol=0.4)
    for one, other in ((z[:128], z[128:]), (z[1:], z[:-1])):
        assert abs(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]) < 4 / np.sqrt(np.size(one))


def test_the_tree_has_the_variables_labels_and_statistics_of_the_contract(fitted):
    model, tree, reports = fitted
    posterior, statistics = tree["posterior"].dataset, tree["sample_stats"].dataset
    assert {name: (value.dims, value.dtype) for name, value in posterior.items()} == {
        name: (("chain", "draw", *dims), np.float64)
        for name, dims in CONTRACTS[model].variables.items()
    }
    labels = {"chain": [0, 1], "draw": list(range(256))}
    assert {name: value.to_numpy().tolist() for name, value in statistics.coords.items()} == labels
    used = ("gene", "cell_line", "guide") if model == "m4_nested" else ("gene", "cell_line")
    labels |= {dim: list(DESIGN.labels[dim]) for dim in used}
    assert {name: value.to_numpy().tolist() for name, value in posterior.coords.items()} == labels
    assert statistics["log_density"].dims == ("chain", "draw")
    assert reports[0][0] < 100 and reports[-1] == (100, 100)
    assert reports == sorted(set(reports))


def test_an_equal_seed_gives_equal_draws_on_any_workers_with_blas_in_one_thread(monkeypatch):
    held, entered = [], []
    one_blas_thread = module.one_blas_thread

    class Others(ThisProcess):
        def hold(self, blocks):
            held.extend(blocks)
            return super().hold(blocks)

    monkeypatch.setattr(
        module, "one_blas_thread", lambda: (entered.append(1), one_blas_thread())[1]
    )
    parameters = parameters_of("m4")
    trees = [sample(DESIGN, parameters, seed, workers=Others()) for seed in (5, 6)]
    assert (len(held), len(entered)) == (2, 2)
    first, other = (tree["posterior"].dataset for tree in trees)
    for name, values in sample(DESIGN, parameters, 5)["posterior"].data_vars.items():
        np.testing.assert_array_equal(values, first[name])
        assert not np.isin(values, other[name]).any()


# ---- known results


def test_the_published_table_is_reproduced():
    tree = run_engine(
        design_from_rows(original_rows()), parameters_of("m4", 2000, 4, priors=Priors())
    )
    table = comparison(parameter_summary(tree))
    assert len(table) == 36  # sigma is not in the published table
    assert table["difference_in_mcse"].abs().max() < 4
    assert (table["sd"] / table["published_sd"]).sub(1).abs().max() < 0.05
    posterior = tree["posterior"].dataset
    assert max(float(value.max()) for value in az.rhat(posterior).values()) < 1.005
    assert min(float(value.min()) for value in az.ess(posterior).values()) > 6_000


@pytest.fixture(scope="module")
def real_fits(avana: Dataset) -> dict[str, xr.DataTree]:
    """Fits of the real sample."""
    valid = validate(avana, FitParameters())
    assert valid.screen is not None and valid.statistics is not None
    design, _ = prepare(valid.screen, valid.statistics, FitParameters(), avana.rna_units)
    return {
        model: run_engine(design, parameters_of(model, 500, 4, priors=Priors()))
        for model in ("m4", "m4_nested")
    }


GROUPS = {
    "m4": {"sigma_alpha": "Gene", "sigma_gamma": "ModelID", "sigma": "Residual"},
    "m4_nested": {
        "sigma_alpha": "Gene.1",
        "sigma_gamma": "ModelID",
        "sigma": "Residual",
        "sigma_guide": "sgRNA",
        "sigma_gene_line": "Gene.ModelID",
        "sigma_guide_line": "sgRNA.ModelID",
    },
}
"""What lme4 calls each standard deviation."""


@pytest.mark.parametrize("model", GROUPS)
def test_lme4_agrees_on_the_real_screen(model, real_fits, shared: Path):
    posterior, statistics = (real_fits[model][of].dataset for of in ("posterior", "sample_stats"))
    table = pd.read_csv(shared / "reference" / "avana_lme4_sd.csv").query("model == @model")
    by_group = table[table["term"] != "rna"].set_index("group")["sd"]
    beta = pd.read_csv(shared / "reference" / "avana_lme4_beta.csv", index_col="gene")
    estimates = {
        "sigma_beta": table[table["term"] == "rna"]["sd"].item(),
        **{name: by_group[group] for name, group in GROUPS[model].items()},
        "beta_g": beta[f"beta_{model}"].reindex(posterior["gene"].to_numpy()).to_numpy(),
    }
    for name, estimate in estimates.items():
        mean, sd = posterior[name].mean(("chain", "draw")), posterior[name].std(("chain", "draw"))
        assert float(np.abs((mean - estimate) / sd).max(skipna=False)) < 1, name
    assert statistics["pareto_k"] < 0.5
    assert statistics["importance_efficiency"] > 0.8
    assert statistics["interpolation_error"] < 0.01


def test_the_nested_model_is_the_better_one_on_the_real_screen(real_fits):
    plain, nested = (real_fits[model]["sample_stats"]["log_evidence"].item() for model in GROUPS)
    # The log likelihoods of lme4 are about 4,500 apart.
    assert 4_300 < nested - plain < 4_700


# ---- awkward screens


def awkward() -> dict[str, pd.DataFrame]:
    rows, random = original_rows(), np.random.default_rng(0)
    fitted = rows.groupby(["gene", "cell_line"])["logfc"].transform("mean")
    return {
        "tiny noise": rows.assign(logfc=fitted + 1e-4 * (rows["logfc"] - fitted)),
        "huge noise": rows.assign(logfc=random.normal(0, 1e3, len(rows))),
        "one gene": rows[rows["gene"] == "geneA"],
        "one line": rows[rows["cell_line"] == "cellA"],
        "one replicate": rows[rows["sgrna_idx"] == 0],
        "missing cells": rows[random.random(len(rows)) < 0.4],
        "unbalanced guides": rows[(rows["gene"] != "geneA") | (rows["sgrna_idx"] == 0)],
        "large offset": rows.assign(logfc=rows["logfc"] + 30),
    }


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean"])
@pytest.mark.parametrize("name", awkward())
def test_awkward_screens_are_fitted(name, model):
    tree = run_engine(
        design_from_rows(awkward()[name]), parameters_of(model, 500, 4, priors=Priors())
    )
    statistics = tree["sample_stats"].dataset
    assert statistics["pareto_k"] < 0.7
    assert statistics["importance_efficiency"] > 0.1
    posterior = tree["posterior"].dataset
    assert all(np.isfinite(values).all() for values in posterior.values())
    assert max(float(value.max()) for value in az.rhat(posterior).values()) < 1.02


@pytest.mark.parametrize("noise", [1e-4, 1.0, 1e3])
def test_noise_of_any_size_is_found(noise):
    rows, random = nested_rows(8, 10, 3, 3)[0], np.random.default_rng(0)
    level = {gene: random.normal() for gene in rows["gene"].unique()}
    rows = rows.assign(logfc=rows["gene"].map(level) + random.normal(0, noise, len(rows)))
    priors = Priors.model_validate({"sigma": f"HalfNormal({10 * noise})"})
    tree = run_engine(design_from_rows(rows), parameters_of("m4", 500, 4, priors=priors))
    assert float(tree["posterior"]["sigma"].mean()) == pytest.approx(noise, rel=0.08)


def test_a_screen_without_any_spread_is_refused():
    rows = nested_rows(4, 6, 2, 2)[0].assign(logfc=0.0)
    with pytest.raises(NoIntegral, match="take --engine nuts"):
        run_engine(design_from_rows(rows), FitParameters(engine="exact"))

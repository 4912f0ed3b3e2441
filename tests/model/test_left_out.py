"""Fits without some lines against refits of a screen that never had them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from model.design import ScreenDesign
from model.engines import run_engine
from model.exact.collapse import CommonDraws, collapse, gene_effects
from model.exact.effect_nodes import EffectNodes
from model.exact.proposal import weigh
from model.exact.start import start
from model.left_out import (
    N_POINTS,
    SEED,
    Integrable,
    at_points,
    integrable,
    is_good,
    leave_out,
)
from model.preparation import prepare
from schemas.dataset import Dataset
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from tasks.validate import validate
from tests.designs import design_from_rows, nested_rows, of_lines
from tests.model.exact.pieces import MODELS


def fitted(design: ScreenDesign, name: ModelName) -> Integrable:
    posterior = run_engine(design, FitParameters(model=name, engine="exact"))["posterior"]
    return integrable(name, design, Priors(), posterior.dataset)


def refitted(
    name: ModelName, design: ScreenDesign, theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log likelihood, log density (S,) and mean of beta (S, G) at points, by the engine's parts."""
    blocks, marginal, _ = start(name, design, Priors(), theta.mean(axis=0))
    ratios = theta @ marginal.to_ratios().T
    sums = np.sum([collapse(block, ratios) for block in blocks], axis=0)
    factored = marginal.factored(theta, sums)
    common = marginal.draw_common(factored, theta, None)
    n_lines = len(design.cell_lines)
    draws = CommonDraws(
        ratios, np.zeros(len(theta)), common[:, :n_lines], common[:, n_lines : n_lines + 2].T
    )
    each = None if name == "m4_nested" else np.ones((len(theta), 1))
    nodes = EffectNodes(ratios[:, 3:] if each is None else ratios[:1, 3:], each)
    beta = np.empty((len(theta), len(design.genes)))
    for block in blocks:
        beta[:, block.genes] = gene_effects(block, draws, nodes, np.random.SeedSequence(0))[1]
    return factored.log_likelihood, factored.log_density, beta


@pytest.fixture(scope="module")
def sample(avana: Dataset) -> ScreenDesign:
    valid = validate(avana, FitParameters())
    assert valid.screen is not None and valid.statistics is not None
    return prepare(valid.screen, valid.statistics, FitParameters(), avana.rna_units)[0]


def without(design: ScreenDesign, *lines: int) -> ScreenDesign:
    return of_lines(design, set(range(len(design.cell_lines))) - set(lines))


@pytest.mark.parametrize("name", ["m4", "m4_nested"])
def test_leaving_a_line_of_the_real_sample_out_is_refitting_without_it(sample, name):
    """To 1e-6: density and beta at each point, and elpd and beta over the points weighed."""
    screen = fitted(sample, name)
    groups = np.eye(len(sample.cell_lines), dtype=bool)
    points = screen.proposal.points(N_POINTS, np.random.SeedSequence(SEED))
    proposed = screen.proposal.log_density(points)
    found = at_points(screen, points, groups)
    out = leave_out(screen, groups)
    _, whole, _ = refitted(name, sample, points)
    good = [
        line for line in range(len(groups)) if is_good(weigh(found.log_density[:, line] - proposed))
    ]
    assert good
    for line in (good[0], 0, 12):
        log_likelihood, log_density, beta = refitted(name, without(sample, line), points)
        np.testing.assert_allclose(found.log_likelihood[:, line], log_likelihood, atol=1e-6, rtol=0)
        np.testing.assert_allclose(found.log_density[:, line], log_density, atol=1e-6, rtol=0)
        np.testing.assert_allclose(found.beta[:, line], beta, atol=1e-8, rtol=0)

        weights = weigh(log_density - proposed)
        if is_good(weights):  # else the line has points of its own
            elpd = logsumexp(whole - proposed) - logsumexp(log_density - proposed)
            assert out.elpd[line] == pytest.approx(elpd, abs=1e-6)
            mean = np.exp(weights.log_weight) @ beta
            np.testing.assert_allclose(out.without.mean[line], mean, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_left_is_what_the_engine_makes_of_it(name):
    """Points of another proposal, found without the whole; an odd line that moves the SDs far."""
    rows, _ = nested_rows(30, 12, 2, 2, seed=3)
    odd = rows.cell_line == "c007"
    noise = np.random.default_rng(1).normal(0, 3, len(rows))
    design = design_from_rows(rows.assign(logfc=rows.logfc + noise * odd))
    groups = np.array([np.arange(12) == 2, np.arange(12) == 7, np.arange(12) < 2])
    out = leave_out(fitted(design, name), groups)
    assert (out.pareto_k < 0.7).all()
    parameters = FitParameters(model=name, engine="exact", sampling=Sampling(draws=4000))
    whole = run_engine(design, parameters)
    for number, group in enumerate(groups):
        again = run_engine(without(design, *np.flatnonzero(group)), parameters)
        evidence = [float(tree["sample_stats"]["log_evidence"]) for tree in (whole, again)]
        assert out.elpd[number] == pytest.approx(evidence[0] - evidence[1], abs=0.3)
        draws = again["posterior"]["beta_g"].stack(sample=("chain", "draw")).to_numpy()
        sd = draws.std(axis=1)
        np.testing.assert_allclose(out.without.sd[number], sd, rtol=0.05)
        assert (np.abs(out.without.mean[number] - draws.mean(axis=1)) < 0.15 * sd).all()
        negative = (draws < 0).mean(axis=1)
        np.testing.assert_allclose(
            out.without.lfsr[number], np.minimum(negative, 1 - negative), atol=0.04
        )


def test_the_whole_is_the_fit():
    rows, _ = nested_rows(10, 12, 2, 2, seed=3)
    design = design_from_rows(rows)
    parameters = FitParameters(model="m4_nested", engine="exact")
    posterior = run_engine(design, parameters)["posterior"].dataset
    screen = integrable("m4_nested", design, Priors(), posterior)
    out = leave_out(screen, np.eye(12, dtype=bool)[:1])
    beta = posterior["beta_g"].stack(sample=("chain", "draw")).to_numpy()
    sd = beta.std(axis=1)
    assert (np.abs(out.whole.mean - beta.mean(axis=1)) < 0.15 * sd).all()
    np.testing.assert_allclose(out.whole.sd, sd, rtol=0.05)


def test_one_point_stands_for_all_where_points_cost_too_much(monkeypatch):
    rows, _ = nested_rows(60, 12, 2, 2, seed=3)
    screen = fitted(design_from_rows(rows), "m4_nested")
    groups = np.eye(12, dtype=bool)
    many = leave_out(screen, groups)
    monkeypatch.setattr("model.left_out.MOST_WORK", screen.work(12) * 2)
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("model.left_out.AT_ONCE", 1)  # a group at a time
    one = leave_out(screen, groups, lambda done, total: told.append((done, total)))
    assert told == [(done, 13) for done in range(1, 14)]
    assert np.isnan(one.pareto_k).all()
    np.testing.assert_allclose(one.elpd, many.elpd, atol=2)
    np.testing.assert_allclose(one.without.mean, many.without.mean, atol=0.05)
    np.testing.assert_allclose(one.without.sd, many.without.sd, rtol=0.1)

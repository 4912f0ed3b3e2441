"""Fits without some lines agree with refits, with the dense normal and with plain integrals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from model import left_out
from model.engines import run_engine
from model.exact.proposal import Proposal, Weights, maximise
from model.left_out import N_POINTS, Integrable, at_points, integrable, is_good, leave_out
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from tests.designs import design_from_rows, nested_rows, of_lines
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, random_rows
from tests.model.sds import drawn_sds, typical

ROWS = random_rows(2, n_genes=4, n_lines=6)
DESIGN = design_from_rows(ROWS)
LINES = np.array(DESIGN.cell_lines)
GROUPS = np.array([LINES == "c1", LINES == "c4", np.isin(LINES, ["c0", "c3"])])
LARGER = design_from_rows(nested_rows(20, 8, 1, 2, seed=4)[0])
ONE, NOTHING = np.eye(8, dtype=bool)[[4]], np.zeros((1, 8), bool)
SLOPES = ("mean", "sd", "lfsr")


def tiny(name: ModelName) -> Integrable:
    return integrable(name, DESIGN, Priors(), drawn_sds(name))


@pytest.mark.parametrize("name", MODELS)
def test_fit_without_a_group_is_that_of_the_engine_for_the_other_lines(name):
    """Line c007 has other noise and moves the SDs far: it needs points of its own."""
    rows, _ = nested_rows(20, 10, 3, 2, seed=3)
    noise = np.random.default_rng(1).normal(0, 3, len(rows))
    design = design_from_rows(rows.assign(logfc=rows.logfc + noise * (rows.cell_line == "c007")))
    groups = np.array([np.arange(10) == 2, np.arange(10) == 7, np.arange(10) < 2])
    parameters = FitParameters(model=name, engine="exact", sampling=Sampling(draws=1000))
    whole = run_engine(design, parameters)
    out = leave_out(integrable(name, design, Priors(), whole["posterior"].dataset), groups)
    assert (out.pareto_k < 0.7).all()
    trees = [whole] + [run_engine(of_lines(design, np.flatnonzero(~o)), parameters) for o in groups]
    evidence = np.array([float(tree["sample_stats"]["log_evidence"]) for tree in trees])
    np.testing.assert_allclose(out.elpd, evidence[0] - evidence[1:], atol=0.3)
    for number, tree in enumerate(trees):
        slopes = out.without.part(number - 1) if number else out.whole
        draws = tree["posterior"]["beta_g"].stack(sample=("chain", "draw")).to_numpy()
        sd, negative = draws.std(axis=1), (draws < 0).mean(axis=1)
        np.testing.assert_allclose(slopes.sd, sd, rtol=0.05)
        assert (np.abs(slopes.mean - draws.mean(axis=1)) < 0.15 * sd).all()
        np.testing.assert_allclose(slopes.lfsr, np.minimum(negative, 1 - negative), atol=0.04)


def test_as_many_genes_as_can_be_afforded_are_taken_evenly(monkeypatch):
    """Four genes of two effects each in six lines, without each of two groups: 864."""
    for most, genes in ((863, "013"), (647, "03"), (431, "0"), (215, "0"), (1, "0")):
        monkeypatch.setattr("model.left_out.MOST_WORK", most)
        assert left_out.affordable("m4", DESIGN, 2).genes == tuple(f"g{gene}" for gene in genes)
    monkeypatch.setattr("model.left_out.MOST_WORK", 864)
    assert left_out.affordable("m4", DESIGN, 2) is DESIGN


@pytest.mark.parametrize(
    ("at_once", "n_points", "pieces"),
    [(1, 1, 3), (1, 3, 3), (2 * 72, 2, 2), (3 * 72 - 1, 1, 2), (3 * 72, 1, 1), (10**6, 2, 1)],
)
def test_points_and_groups_are_the_same_in_any_pieces(monkeypatch, at_once, n_points, pieces):
    """Four genes of two effects in six lines: 8 (6 + 3) numbers a group."""
    monkeypatch.setattr("model.left_out.AT_ONCE", at_once)
    screen = tiny("m4")
    points = screen.proposal.points(4, np.random.SeedSequence(1))[:n_points]
    progress: list[tuple[int, int]] = []
    found = at_points(screen, points, GROUPS, lambda *done: progress.append(done))
    monkeypatch.setattr("model.left_out.AT_ONCE", 10**6)
    for number, point in enumerate(points):
        for name, values in vars(at_points(screen, point[None], GROUPS)).items():
            np.testing.assert_allclose(getattr(found, name)[number], values[0], rtol=1e-9)
    total = n_points * pieces
    assert sorted(progress) == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("name", MODELS)
def test_one_point_that_stands_for_all_is_the_dense_normal(monkeypatch, name):
    screen = tiny(name)
    monkeypatch.setattr("model.left_out.MOST_WORK", screen.work(3) * N_POINTS - 1)
    progress: list[tuple[int, int]] = []
    out = leave_out(screen, GROUPS, lambda *done: progress.append(done))
    assert progress == [(1, 1)]
    assert out.pareto_k.shape == (3,)
    assert np.isnan(out.pareto_k).all()
    found = [out.whole, *(out.without.part(number) for number in range(3))]
    density = []
    for slopes, group in zip(found, [~LINES.astype(bool), *GROUPS], strict=True):
        kept = ROWS[~ROWS.cell_line.isin(LINES[group])]
        normal = dense(name, kept, DESIGN, Priors(), typical(drawn_sds(name)))
        mean, sd = normal.mean["beta_g"], normal.sd("beta_g")
        expected = [mean, sd, stats.norm.cdf(-np.abs(mean) / sd)]
        np.testing.assert_allclose([getattr(slopes, name) for name in SLOPES], expected, atol=1e-8)
        density.append(normal.log_likelihood)
    np.testing.assert_allclose(out.elpd, density[0] - np.array(density[1:]), atol=1e-7)


def test_points_that_miss_the_mass_are_followed_by_ones_near_it():
    """The expected values are a plain integral over many points of a good proposal."""
    screen = integrable("m4", LARGER, Priors(), drawn_sds("m4"))

    def density(theta: np.ndarray) -> np.ndarray:
        return at_points(screen, theta, NOTHING).log_density[:, 0]

    good = Proposal(*maximise(density, np.full(4, -0.5), 0.4 * np.eye(4)), 7.0)
    groups = np.concatenate([NOTHING, ONE])
    wide = replace(good, covariance=1.5 * good.covariance)
    points = wide.points(1024, np.random.SeedSequence(7))
    found = at_points(screen, points, groups)
    ratios = found.log_density - wide.log_density(points)[:, None]
    evidence = logsumexp(ratios, axis=0)
    mean = np.einsum("so,sog->og", np.exp(ratios - evidence), found.beta)
    for shift, width, atol in ((2.0, 1.0, 0.005), (0.0, 0.02, 0.01)):
        bad = Proposal(good.location + shift, width * good.covariance, 7.0)
        out = leave_out(replace(screen, proposal=bad), ONE)
        assert (out.pareto_k <= 0.7).all()
        np.testing.assert_allclose([out.whole.mean, out.without.mean[0]], mean, atol=atol)
        np.testing.assert_allclose(out.elpd, [evidence[0] - evidence[1]], atol=0.05)


def test_points_are_good_up_to_the_bounds():
    cases = (0.7, 0.5), (0.71, 0.9), (0.1, 0.49), (np.inf, 0.9), (np.nan, np.nan)
    good = [is_good(Weights(np.zeros(2), pareto_k, efficiency)) for pareto_k, efficiency in cases]
    assert good == [True, False, False, False, False]

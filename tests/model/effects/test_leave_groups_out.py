"""Fits without some lines agree with refits, with the dense normal and with plain integrals."""

import numpy as np
import pytest
from scipy import stats

from model.effects import leave_groups_out as left_out
from model.effects.leave_groups_out import N_POINTS, leave_out, leave_out_problem
from model.engines.run import run_engine
from schemas.parameters import FitParameters, Priors, Sampling
from tests.designs import design_from_rows, drawn_sds, nested_rows, of_lines, typical
from tests.model.engines.exact.dense import dense
from tests.model.engines.exact.pieces import MODELS, random_rows

ROWS = random_rows(2, n_genes=4, n_lines=6)
DESIGN = design_from_rows(ROWS)
LINES = np.array(DESIGN.cell_lines)
GROUPS = np.array([LINES == "c1", LINES == "c4", np.isin(LINES, ["c0", "c3"])])
SLOPES = ("mean", "sd", "lfsr")


@pytest.mark.parametrize("name", MODELS)
def test_fit_without_a_group_is_that_of_the_engine_for_the_other_lines(name):
    """Line c007 has other noise and moves the SDs far: it needs points of its own."""
    rows, _ = nested_rows(20, 10, 3, 2, seed=3)
    noise = np.random.default_rng(1).normal(0, 3, len(rows))
    design = design_from_rows(rows.assign(logfc=rows.logfc + noise * (rows.cell_line == "c007")))
    groups = np.array([np.arange(10) == 2, np.arange(10) == 7, np.arange(10) < 2])
    parameters = FitParameters(model=name, engine="exact", sampling=Sampling(draws=1000))
    whole = run_engine(design, parameters)
    out = leave_out(leave_out_problem(name, design, Priors(), whole["posterior"].dataset), groups)
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
        monkeypatch.setattr("model.effects.leave_groups_out.MOST_WORK", most)
        taken = left_out.subsample_genes("m4", DESIGN, 2).genes
        assert taken == tuple(f"g{gene}" for gene in genes)
    monkeypatch.setattr("model.effects.leave_groups_out.MOST_WORK", 864)
    assert left_out.subsample_genes("m4", DESIGN, 2) is DESIGN


@pytest.mark.parametrize("name", MODELS)
def test_one_point_that_stands_for_all_is_the_dense_normal(monkeypatch, name):
    screen = leave_out_problem(name, DESIGN, Priors(), drawn_sds(name))
    monkeypatch.setattr("model.effects.leave_groups_out.MOST_WORK", screen.work(3) * N_POINTS - 1)
    n_effects = max(block.n_effects * len(block.genes) for block in screen.blocks)
    monkeypatch.setattr("model.effects.leave_groups_out.AT_ONCE", 3 * n_effects * (6 + 3))
    progress: list[tuple[int, int]] = []
    out = leave_out(screen, GROUPS, lambda *done: progress.append(done))
    assert progress == [(1, 2), (2, 2)]  # three groups at once, of four with the empty one
    assert out.pareto_k.shape == (3,) and np.isnan(out.pareto_k).all()
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

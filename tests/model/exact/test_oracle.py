"""The exact engine's pieces against one dense multivariate normal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from model.exact.blocks import cut, recentred
from model.exact.collapse import CommonDraws, collapse, gene_effects
from model.exact.effect_nodes import EffectNodes, effect_nodes
from model.exact.marginal import hyperparameters
from schemas.parameters import ModelName, Priors
from tests.designs import design_from_rows
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, PRIORS, Pieces, random_rows


def assert_agree(model: ModelName, rows: pd.DataFrame, theta: np.ndarray, digits: float) -> None:
    pieces = Pieces(model, rows, theta)
    naive = dense(model, rows, pieces.design, PRIORS, pieces.sd)
    found = pieces.factored.log_likelihood[0]
    assert abs(found - naive.log_likelihood) <= digits * max(1, abs(naive.log_likelihood))
    means = pieces.means()
    for name, expected in naive.mean.items():
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(means[name], expected, atol=0.01 * digits * scale, err_msg=name)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(6))
def test_density_and_conditional_means_are_those_of_the_dense_normal(model, seed):
    theta = np.random.default_rng(seed).normal(0, 0.7, 7)
    # 1e-8 of the density, 1e-10 of the means
    assert_agree(model, random_rows(seed), theta, digits=1e-8)


@pytest.mark.parametrize("model", MODELS)
def test_conditional_covariance_of_what_genes_share_is_that_of_the_dense_normal(model):
    rows = random_rows(3)
    pieces = Pieces(model, rows, np.random.default_rng(9).normal(0, 0.5, 7))
    naive = dense(model, rows, pieces.design, PRIORS, pieces.sd)
    lower = pieces.factored.lower[0, :-1, :-1]
    found = pieces.sd["sigma"] ** 2 * np.linalg.inv(lower @ lower.T)
    n_lines = len(pieces.design.cell_lines)
    order = naive.at("gamma_c")
    order += [naive.names.index(name) for name in pieces.marginal.means_in_order]
    assert found.shape == (n_lines + len(pieces.marginal.means),) * 2
    np.testing.assert_allclose(found, naive.covariance[np.ix_(order, order)], atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_draws_have_the_dense_normal_s_mean_and_covariance(model):
    """Given the SDs, all variables together; 40,000 draws."""
    rows = random_rows(4)
    pieces = Pieces(model, rows, np.random.default_rng(2).normal(-0.3, 0.4, 7))
    naive = dense(model, rows, pieces.design, PRIORS, pieces.sd)
    n, n_lines = 40_000, len(pieces.design.cell_lines)
    size = n_lines + len(pieces.marginal.means)
    theta = np.repeat(pieces.theta[None], n, axis=0)
    factored = replace(pieces.factored, lower=np.repeat(pieces.factored.lower, n, axis=0))
    noise = np.random.default_rng(5).standard_normal((n, size))
    common = pieces.marginal.draw_common(factored, theta, noise)
    draws = CommonDraws(
        np.repeat(pieces.log_ratios, n, axis=0),
        np.full(n, pieces.sd["sigma"]),
        common[:, :n_lines],
        common[:, n_lines : n_lines + 2].T,
    )
    drawn = dict(
        zip(pieces.marginal.means_in_order, common[:, n_lines:].T[:, :, None], strict=True)
    )
    drawn["gamma_c"] = common[:, :n_lines] + pieces.marginal.gamma_reference
    drawn |= {
        name: np.empty((n, len(naive.mean[name])))
        for name in ("alpha_g", "beta_g", "delta_k")
        if name in naive.mean
    }
    nodes = EffectNodes(pieces.log_ratios[:, 3:], np.ones((n, 1)))
    for block in pieces.blocks:
        found = gene_effects(block, draws, nodes, np.random.SeedSequence(1))
        drawn["alpha_g"][:, block.genes], drawn["beta_g"][:, block.genes] = found[:2]
        for guides, effects in zip(block.guides, found[2:], strict=True):
            drawn["delta_k"][:, guides] = effects
    stacked = np.concatenate([drawn[name] for name in naive.mean], axis=1)
    assert [name for name in naive.mean for _ in naive.mean[name]] == naive.names
    sd = np.sqrt(np.diag(naive.covariance))
    z = (stacked.mean(axis=0) - np.concatenate(list(naive.mean.values()))) / sd * np.sqrt(n)
    assert np.abs(z).max() < 4.5
    correlation = np.cov(stacked.T) / np.outer(sd, sd)
    np.testing.assert_allclose(correlation, naive.covariance / np.outer(sd, sd), atol=0.035)


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    seed=st.integers(0, 10_000),
    n_genes=st.integers(1, 5),
    n_lines=st.integers(1, 6),
    most_guides=st.integers(1, 4),
    most_replicates=st.integers(1, 4),
    log_noise=st.floats(-4, 4),
)
def test_any_design_agrees(model, seed, n_genes, n_lines, most_guides, most_replicates, log_noise):
    rows = random_rows(seed, n_genes, n_lines, most_guides, most_replicates)
    theta = np.random.default_rng(seed).normal(0, 1, 7)
    theta[3] = log_noise
    assert_agree(model, rows, theta, digits=1e-6)


def test_blocks_do_not_change_the_sums(monkeypatch):
    rows = random_rows(8, n_genes=9, n_lines=5)
    theta = np.random.default_rng(3).normal(0, 0.5, 7)
    whole = Pieces("m4_nested", rows, theta)
    monkeypatch.setattr("model.exact.blocks.BLOCK_SIZE", 1)
    cut_up = Pieces("m4_nested", rows, theta)
    assert len(cut_up.blocks) == 9 > len(whole.blocks)
    np.testing.assert_allclose(
        cut_up.factored.log_likelihood, whole.factored.log_likelihood, rtol=1e-12
    )


@pytest.mark.parametrize("model", MODELS)
def test_several_points_at_once_are_those_one_by_one(model, monkeypatch):
    pieces = Pieces(model, random_rows(5), np.zeros(7))
    points = np.random.default_rng(1).normal(0, 1, (7, pieces.log_ratios.shape[1]))
    for block in pieces.blocks:
        one_by_one = np.concatenate([collapse(block, point[None]) for point in points])
        np.testing.assert_allclose(collapse(block, points), one_by_one, rtol=1e-12, atol=1e-12)
        monkeypatch.setattr("model.exact.collapse.AT_ONCE", 1)
        np.testing.assert_allclose(collapse(block, points), one_by_one, rtol=1e-12, atol=1e-12)


def test_a_matrix_that_is_not_positive_definite_has_no_density():
    pieces = Pieces("m4", random_rows(1), np.zeros(7))
    two = np.repeat(pieces.sums, 2, axis=0)
    two[1, :10] = -1e3
    found = pieces.marginal.factored(np.repeat(pieces.theta[None], 2, axis=0), two)
    assert found.log_density[0] == pytest.approx(pieces.factored.log_density[0], rel=1e-13)
    assert found.log_density[1] == -np.inf


@pytest.mark.parametrize("model", MODELS)
def test_the_prior_is_of_the_sds_and_the_density_of_their_logs(model):
    """Every SD has a prior of its own, so that none is taken for another."""
    names = hyperparameters(model)
    given = {
        name: (f"HalfNormal({scale})", stats.halfnorm(scale=scale))
        if at % 2
        else (f"Exponential({scale})", stats.expon(scale=1 / scale))
        for at, (name, scale) in enumerate(
            zip(names, (0.4, 0.7, 1.1, 1.3, 1.7, 2.3, 3.1), strict=False)
        )
    }
    priors = Priors.model_validate({name: text for name, (text, _) in given.items()})
    theta = np.random.default_rng(4).normal(0, 0.8, 7)
    pieces = Pieces(model, random_rows(2), theta, priors=priors)
    expected = sum(
        prior.logpdf(np.exp(log_sd)) + log_sd
        for (_, prior), log_sd in zip(given.values(), pieces.theta, strict=True)
    )
    found = pieces.factored.log_density - pieces.factored.log_likelihood
    assert found[0] == pytest.approx(expected, abs=1e-9)


def test_effects_are_drawn_alike_from_nodes_and_from_each_draw(monkeypatch):
    pieces = Pieces("m4_nested", random_rows(5, n_genes=4), np.zeros(7))
    (block, *_), n_lines = pieces.blocks, len(pieces.design.cell_lines)
    random = np.random.default_rng(1)
    log_ratios = pieces.log_ratios + 0.02 * random.standard_normal((60, 5))
    draws = CommonDraws(
        log_ratios,
        np.full(60, 0.7),
        random.standard_normal((60, n_lines)),
        random.standard_normal((2, 60)),
    )
    few = effect_nodes(block, log_ratios[:, 3:])
    assert few.weights is not None and len(few.at) > 1
    seed = np.random.SeedSequence(3)
    of_few = gene_effects(block, draws, few, seed)
    of_each = gene_effects(block, draws, EffectNodes(log_ratios[:, 3:], None), seed)
    np.testing.assert_allclose(of_few, of_each, atol=1e-6)
    np.testing.assert_array_equal(of_few, gene_effects(block, draws, few, seed))
    other = gene_effects(block, draws, few, np.random.SeedSequence(4))
    assert not np.isclose(of_few, other).any()
    # Another block has other draws, and in parts the means are the same.
    elsewhere = replace(block, genes=block.genes + 1)
    assert not np.isclose(of_few, gene_effects(elsewhere, draws, few, seed)).any()
    best = replace(draws, sigma=np.zeros(60))
    whole = gene_effects(block, best, few, seed)
    monkeypatch.setattr("model.exact.collapse.DRAWS_AT_ONCE", 1)
    np.testing.assert_allclose(gene_effects(block, best, few, seed), whole, rtol=1e-12)


@pytest.mark.parametrize("nested", [False, True])
def test_what_was_not_measured_counts_as_zero(nested):
    rows = random_rows(3, n_genes=4)
    design = design_from_rows(rows[(rows.gene != "g1") | (rows.cell_line != "c2")])
    blocks = cut(design, nested=nested)
    assert any((block.count == 0).any() for block in blocks)
    for block in blocks:
        missing = block.count == 0
        centred = recentred(block, np.ones_like(block.reference), np.ones(len(design.cell_lines)))
        assert (block.mean[missing] == 0).all() and (centred.mean[missing] == 0).all()

"""The exact engine's blocks, collapsed sums, marginal and gene effects against one dense normal."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from model.exact.collapse import CommonDraws, gene_effects
from model.exact.effect_nodes import EffectNodes, effect_nodes
from model.exact.marginal import hyperparameters
from schemas.parameters import ModelName, Priors
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
@pytest.mark.parametrize("seed", range(3))
def test_density_and_conditional_means_equal_those_of_the_dense_normal(model, seed):
    rows = random_rows(seed)
    if seed:  # a cell without measurements
        rows = rows[(rows.gene != "g1") | (rows.cell_line != "c2")]
    # 1e-8 of the density, 1e-10 of the means
    assert_agree(model, rows, np.random.default_rng(seed).normal(0, 0.7, 7), digits=1e-8)


@settings(max_examples=30, deadline=None)
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


def test_the_size_of_blocks_does_not_change_the_density(monkeypatch):
    rows = random_rows(8, n_genes=9, n_lines=5, most_guides=1)
    theta = np.random.default_rng(3).normal(0, 0.5, 7)
    density = []
    for size, n_blocks in ((10**6, 1), (4 * 15 + 14, 3), (1, 9)):  # a gene takes (1 + 2) x 5
        monkeypatch.setattr("model.exact.blocks.BLOCK_SIZE", size)
        pieces = Pieces("m4_nested", rows, theta)
        assert len(pieces.blocks) == n_blocks
        density.append(pieces.factored.log_likelihood[0])
    np.testing.assert_allclose(density, density[0], rtol=1e-12)


@pytest.mark.parametrize("large", [64, 1])
def test_a_matrix_that_is_not_positive_definite_has_no_density(large, monkeypatch):
    monkeypatch.setattr("model.exact.marginal.LARGE_MATRIX", large)
    pieces = Pieces("m4", random_rows(1), np.zeros(7))
    two = np.repeat(pieces.sums, 2, axis=0)
    two[1, :10] = -1e3
    found = pieces.marginal.factored(np.repeat(pieces.theta[None], 2, axis=0), two)
    assert found.log_density.tolist() == [pytest.approx(pieces.factored.log_density[0]), -np.inf]


@pytest.mark.parametrize("model", MODELS)
def test_each_sd_has_its_own_prior_and_the_density_is_that_of_log_sds(model):
    scales = zip(hyperparameters(model), (0.4, 0.7, 1.1, 1.3, 1.7, 2.3, 3.1), strict=False)
    given = {
        name: (f"HalfNormal({scale})", stats.halfnorm(scale=scale))
        if at % 2
        else (f"Exponential({scale})", stats.expon(scale=1 / scale))
        for at, (name, scale) in enumerate(scales)
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


def test_effects_drawn_from_few_nodes_equal_those_drawn_at_each_draw(monkeypatch):
    pieces = Pieces("m4_nested", random_rows(5, n_genes=4), np.zeros(7))
    block, n_lines = pieces.blocks[0], len(pieces.design.cell_lines)
    random = np.random.default_rng(1)
    draws = CommonDraws(
        pieces.log_ratios + 0.02 * random.standard_normal((60, 5)),
        np.full(60, 0.7),
        random.standard_normal((60, n_lines)),
        random.standard_normal((2, 60)),
    )
    pairs = draws.log_ratios[:, 3:]
    few, each = effect_nodes(block, pairs), EffectNodes(pairs, None)
    assert few.weights is not None and 1 < len(few.at) < 60
    seed = np.random.SeedSequence(3)
    found = gene_effects(block, draws, few, seed)
    np.testing.assert_allclose(found, gene_effects(block, draws, each, seed), atol=1e-6)
    np.testing.assert_array_equal(found, gene_effects(block, draws, few, seed))
    # Another seed and another block give other draws.
    assert not np.isclose(found, gene_effects(block, draws, few, np.random.SeedSequence(4))).any()
    elsewhere = replace(block, genes=block.genes + 1)
    assert not np.isclose(found, gene_effects(elsewhere, draws, few, seed)).any()
    best = replace(draws, sigma=np.zeros(60))
    whole = gene_effects(block, best, few, seed)
    for at_once in (7 * block.n_effects * block.rna.size, 1):
        monkeypatch.setattr("model.exact.collapse.DRAWS_AT_ONCE", at_once)
        np.testing.assert_allclose(gene_effects(block, best, few, seed), whole, rtol=1e-12)

"""The exact engine's blocks, collapsed sums, marginal and gene effects against one dense normal."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from model.engines.exact.collapse import SharedDraws, gene_effects
from model.engines.exact.effect_nodes import EffectNodes, effect_nodes
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import ModelName, Priors
from tests.model.engines.exact.dense import dense
from tests.model.engines.exact.pieces import MODELS, PRIORS, Pieces, random_rows
from tests.property.releases import examples


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


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean"])
def test_of_one_value_per_pair_only_the_sum_of_the_variances_is_known(model):
    """As of gene effects: SDs of guides and pairs are dropped, and sigma stands for them."""
    rows = random_rows(3, 5, 6, 1, 1).drop_duplicates(["gene", "cell_line"])
    theta = np.random.default_rng(3).normal(0, 0.5, 7)
    assert_agree(model, rows, theta, digits=1e-9)
    if model == "m4":
        pieces = Pieces("m4", rows, theta)
        found, half = pieces.factored.log_likelihood[0], np.sqrt(0.5)
        split = pieces.sd | {
            **dict.fromkeys(("sigma", "sigma_gene_line"), half * pieces.sd["sigma"]),
            **dict.fromkeys(("sigma_alpha", "sigma_guide"), half * pieces.sd["sigma_alpha"]),
            "sigma_guide_line": 0.0,
        }
        nested = dense("m4_nested", rows, pieces.design, PRIORS, split)
        assert found == pytest.approx(nested.log_likelihood, rel=1e-9)


@examples(30)
@given(
    model=st.sampled_from(MODELS),
    seed=st.integers(0, 10_000),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(1, 4)),
    log_noise=st.floats(-4, 4),
    level_and_slope=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    units=st.sampled_from([(1.0, 1.0), (-8.0, 0.125), (-1.0, 1.0), (0.5, -2.0), (3.0, -1.0)]),
)
def test_any_design_agrees_in_any_units(model, seed, sizes, log_noise, level_and_slope, units):
    rows, (level, slope), (unit, rna) = random_rows(seed, *sizes), level_and_slope, units
    moved = rows.logfc + level + slope * rows.rna
    rows = rows.assign(logfc=unit * moved, rna=rna * rows.rna)
    theta = np.random.default_rng(seed).normal(0, 1, 7)
    theta[3] = log_noise
    theta += np.log(abs(unit))
    theta[MODEL_SPECS[model].sds.index("sigma_beta")] -= np.log(abs(rna))
    assert_agree(model, rows, theta, digits=1e-6)


@pytest.mark.parametrize("large", [64, 1])
def test_a_matrix_that_is_not_positive_definite_has_no_density(large, monkeypatch):
    monkeypatch.setattr("model.engines.exact.marginal.LARGE_MATRIX", large)
    pieces = Pieces("m4", random_rows(1), np.zeros(7))
    two = np.repeat(pieces.sums, 2, axis=0)
    two[1, :10] = -1e3
    found = pieces.marginal.factored(np.repeat(pieces.theta[None], 2, axis=0), two)
    assert found.log_density.tolist() == [pytest.approx(pieces.factored.log_density[0]), -np.inf]


@pytest.mark.parametrize("model", MODELS)
def test_each_sd_has_its_own_prior_and_the_density_is_that_of_log_sds(model):
    scales = zip(MODEL_SPECS[model].sds, (0.4, 0.7, 1.1, 1.3, 1.7, 2.3, 3.1), strict=False)
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


@pytest.mark.parametrize(("spread", "most_nodes"), [(0.02, 40), (1e-9, 3)])
def test_effects_drawn_from_few_nodes_equal_those_drawn_at_each_draw(spread, most_nodes):
    pieces = Pieces("m4_nested", random_rows(5, n_genes=4), np.zeros(7))
    block, n_lines = pieces.blocks[0], len(pieces.design.cell_lines)
    random = np.random.default_rng(1)
    draws = SharedDraws(
        pieces.log_ratios + spread * random.standard_normal((60, 5)),
        np.full(60, 0.7),
        random.standard_normal((60, n_lines)),
        random.standard_normal((2, 60)),
    )
    pairs = draws.log_ratios[:, 3:]
    few, each = effect_nodes(block, pairs), EffectNodes(pairs, None)
    assert few.weights is not None and 1 <= len(few.at) <= most_nodes
    assert effect_nodes(block, pairs[:3]).weights is None  # no more nodes than draws
    seed = np.random.SeedSequence(3)
    found = gene_effects(block, draws, few, seed)
    np.testing.assert_allclose(found, gene_effects(block, draws, each, seed), atol=1e-6)
    np.testing.assert_array_equal(found, gene_effects(block, draws, few, seed))
    # Another seed and another block give other draws.
    assert not np.isclose(found, gene_effects(block, draws, few, np.random.SeedSequence(4))).any()
    elsewhere = replace(block, genes=block.genes + 1)
    assert not np.isclose(found, gene_effects(elsewhere, draws, few, seed)).any()

"""The first guess: effects against the dense normal, spreads against the residuals themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from model.exact.blocks import squares
from model.exact.marginal import Marginal
from model.exact.start import SMALLEST_SHARE, start
from tests.designs import NESTED_SDS, design_from_rows, nested_rows
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, PRIORS, Pieces, random_rows


@pytest.mark.parametrize("model", MODELS)
def test_given_the_sds_the_screen_is_centred_at_the_best_effects(model):
    rows = random_rows(6, n_genes=5)
    pieces = Pieces(model, rows, np.random.default_rng(1).normal(-0.2, 0.4, 7))
    naive = dense(model, rows, pieces.design, PRIORS, pieces.sd)
    blocks, marginal, theta = start(model, pieces.design, PRIORS, pieces.theta)
    np.testing.assert_array_equal(theta, pieces.theta)
    np.testing.assert_allclose(marginal.gamma_reference, naive.mean["gamma_c"], atol=1e-10)
    for block in blocks:
        np.testing.assert_allclose(
            block.reference[0], naive.mean["alpha_g"][block.genes], atol=1e-9
        )
        np.testing.assert_allclose(block.reference[1], naive.mean["beta_g"][block.genes], atol=1e-9)
        for guides, effects in zip(block.guides, block.reference[2:], strict=True):
            np.testing.assert_allclose(effects, naive.mean["delta_k"][guides], atol=1e-9)
    # All squares, about the effects and within the units, are those of the residuals.
    left = residuals(rows, naive.mean)
    assert sum(map(squares, blocks)) + marginal.within_ss == pytest.approx((left**2).sum())
    assert marginal.n_measurements == len(rows)
    assert (marginal.model, marginal.priors) == (model, PRIORS)


def sds(marginal: Marginal, theta: np.ndarray) -> dict[str, np.floating]:
    return dict(zip(marginal.hyperparameters, np.exp(theta), strict=True))


def residuals(rows: pd.DataFrame, effects: dict[str, np.ndarray]) -> pd.Series:
    gene, line, guide = (
        rows[name].map({label: at for at, label in enumerate(sorted(rows[name].unique()))})
        for name in ("gene", "cell_line", "guide")
    )
    fitted = (
        effects["alpha_g"][gene] + effects["beta_g"][gene] * rows.rna + effects["gamma_c"][line]
    )
    if "delta_k" in effects:
        fitted += effects["delta_k"][guide]
    return rows.logfc - fitted


@pytest.mark.parametrize("model", MODELS)
def test_the_sds_are_the_spread_of_the_effects_and_of_the_residuals(model):
    rows, _ = nested_rows(12, 8, 3, 2, seed=4)
    design = design_from_rows(rows)
    blocks, marginal, theta = start(model, design, PRIORS)
    sd = sds(marginal, theta)
    effects = {
        name: np.concatenate([block.reference[at] for block in blocks])
        for at, name in enumerate(("alpha_g", "beta_g"))
    }
    effects["gamma_c"] = marginal.gamma_reference
    assert sd["sigma_alpha"] == pytest.approx(effects["alpha_g"].std())
    assert sd["sigma_beta"] == pytest.approx(effects["beta_g"].std())
    assert sd["sigma_gamma"] == pytest.approx(effects["gamma_c"].std())
    if model != "m4_nested":
        left = residuals(rows, effects)
        assert sd["sigma"] == pytest.approx(np.sqrt((left**2).mean()))
        return
    effects["delta_k"] = np.concatenate([block.reference[2:].T.ravel() for block in blocks])
    assert sd["sigma_guide"] == pytest.approx(effects["delta_k"].std())
    left = residuals(rows, effects)
    units = left.groupby([rows.guide, rows.cell_line])
    within = ((left - units.transform("mean")) ** 2).sum() / (len(rows) - units.ngroups)
    assert sd["sigma"] == pytest.approx(np.sqrt(within))
    between = (units.transform("mean") ** 2).sum()
    rest = (between - within * units.ngroups) / len(rows) / 2
    assert sd["sigma_gene_line"] == sd["sigma_guide_line"] == pytest.approx(np.sqrt(rest))
    # And so within a factor of two of what they were drawn with, but for a few effects shrunk.
    for name in ("sigma", "sigma_alpha", "sigma_guide", "sigma_gene_line"):
        assert 0.5 < sd[name] / NESTED_SDS[name] < 2, name


def test_units_that_differ_by_noise_alone_get_a_tenth_of_it():
    """Two sequences of each guide that are alike but for their sign: units have nothing between."""
    rows, _ = nested_rows(4, 6, 2, 1, seed=2)
    noise = np.random.default_rng(3).standard_normal(len(rows))
    pair = pd.concat([rows.assign(logfc=noise), rows.assign(logfc=-noise)], ignore_index=True)
    _, marginal, theta = start("m4_nested", design_from_rows(pair), PRIORS)
    sd = sds(marginal, theta)
    assert sd["sigma"] == pytest.approx(np.sqrt(2 * (noise**2).mean()))
    assert sd["sigma_gene_line"] == pytest.approx(np.sqrt(0.05) * sd["sigma"])


def test_what_has_no_spread_of_its_own_gets_that_of_the_measurements():
    rows = random_rows(2, n_genes=1, n_lines=1, most_guides=1).iloc[:1]
    rows = pd.concat([rows, rows.assign(logfc=rows.logfc + 1)])  # of one unit
    _, marginal, theta = start("m4_nested", design_from_rows(rows), PRIORS)
    sd = sds(marginal, theta)
    for name in ("sigma_alpha", "sigma_beta", "sigma_gamma", "sigma_guide"):
        assert sd[name] == pytest.approx(0.5), name
    # One degree of freedom is left within the unit: 1/4 + 1/4 of squares.
    assert sd["sigma"] == pytest.approx(np.sqrt(0.5))


def test_two_have_a_spread_of_their_own():
    rows = random_rows(2, n_genes=2, n_lines=2)
    blocks, marginal, theta = start("m4", design_from_rows(rows), PRIORS)
    sd = sds(marginal, theta)
    assert sd["sigma_gamma"] == pytest.approx(marginal.gamma_reference.std())
    alphas = np.concatenate([block.reference[0] for block in blocks])
    assert sd["sigma_alpha"] == pytest.approx(alphas.std())


def test_no_sd_is_so_small_that_the_search_could_not_begin():
    rows = random_rows(3, n_genes=4, n_lines=5, most_guides=1, most_replicates=1)
    exact = rows.assign(logfc=rows.gene.map({"g0": 0.5, "g1": -0.5, "g2": 1.5, "g3": -1.5}))
    blocks, marginal, theta = start("m4", design_from_rows(exact), PRIORS)
    spread = exact.logfc.std(ddof=0)
    assert theta.min() >= np.log(SMALLEST_SHARE * spread)
    sd = sds(marginal, theta)
    assert sd["sigma_alpha"] == pytest.approx(np.sqrt(1.25), rel=1e-3)
    assert sd["sigma"] < 1e-3
    assert sum(map(squares, blocks)) < 1e-4

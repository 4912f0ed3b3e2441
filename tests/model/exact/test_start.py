"""The first guess: effects against the dense normal, SDs against the residuals."""

import numpy as np
import pandas as pd
import pytest

from model.exact.blocks import squares
from model.exact.start import SMALLEST_SHARE, start
from schemas.parameters import ModelName
from tests.designs import design_from_rows, nested_rows
from tests.model.exact.dense import COLUMNS, dense
from tests.model.exact.pieces import MODELS, PRIORS, Pieces, random_rows


class Started:
    """The first guess of a screen: SDs, effects and residuals."""

    def __init__(self, model: ModelName, rows: pd.DataFrame, theta: np.ndarray | None = None):
        design = design_from_rows(rows)
        self.blocks, self.marginal, self.theta = start(model, design, PRIORS, theta)
        self.sd = dict(zip(self.marginal.hyperparameters, np.exp(self.theta), strict=True))
        alpha, beta = np.empty((2, len(design.genes)))
        delta = np.zeros(len(design.guides))
        for block in self.blocks:
            alpha[block.genes], beta[block.genes] = block.reference[:2]
            delta[block.guides] = block.reference[2:]
        gamma = self.marginal.gamma_reference
        self.effects = {"alpha_g": alpha, "gamma_c": gamma, "beta_g": beta, "delta_k": delta}
        self.residuals = rows.logfc.copy()
        for name, values in self.effects.items():
            code = pd.factorize(rows[COLUMNS[name]], sort=True)[0]
            self.residuals -= values[code] * (rows.rna if name == "beta_g" else 1)
        self.left = sum(map(squares, self.blocks)) + self.marginal.within_ss


@pytest.mark.parametrize("model", MODELS)
def test_given_the_sds_the_screen_is_centred_at_the_best_effects(model):
    rows = random_rows(6, n_genes=5)
    pieces = Pieces(model, rows, np.random.default_rng(1).normal(-0.2, 0.4, 7))
    naive = dense(model, rows, pieces.design, PRIORS, pieces.sd)
    found = Started(model, rows, pieces.theta)
    np.testing.assert_array_equal(found.theta, pieces.theta)
    for name in set(COLUMNS) & set(naive.mean):
        np.testing.assert_allclose(found.effects[name], naive.mean[name], atol=1e-9, err_msg=name)
    assert found.left == pytest.approx((found.residuals**2).sum())
    marginal = found.marginal
    assert (marginal.n_measurements, marginal.model, marginal.priors) == (len(rows), model, PRIORS)


@pytest.mark.parametrize("model", MODELS)
def test_the_sds_are_the_spread_of_the_effects_and_of_the_residuals(model):
    rows, _ = nested_rows(12, 8, 3, 2, seed=4)
    found = Started(model, rows)
    residuals = found.residuals
    expected = {
        f"sigma_{name.partition('_')[0]}": values.std() for name, values in found.effects.items()
    }
    expected |= {"sigma": np.sqrt((residuals**2).mean())}
    if model == "m4_nested":
        units = residuals.groupby([rows.guide, rows.cell_line])
        within = ((residuals - units.transform("mean")) ** 2).sum() / (len(rows) - units.ngroups)
        between = (units.transform("mean") ** 2).sum() - within * units.ngroups
        rest = np.sqrt(between / len(rows) / 2)
        expected["sigma_guide"] = expected["sigma_delta"]
        expected |= {"sigma": np.sqrt(within), "sigma_gene_line": rest, "sigma_guide_line": rest}
    assert found.sd == pytest.approx({name: expected[name] for name in found.sd})


def test_units_that_differ_by_noise_alone_have_a_tenth_of_its_variance():
    rows, _ = nested_rows(4, 6, 2, 1, seed=2)
    noise = np.random.default_rng(3).standard_normal(len(rows))
    pair = pd.concat([rows.assign(logfc=noise), rows.assign(logfc=-noise)], ignore_index=True)
    sd = Started("m4_nested", pair).sd
    assert sd["sigma"] == pytest.approx(np.sqrt(2 * (noise**2).mean()))
    assert sd["sigma_gene_line"] == pytest.approx(np.sqrt(0.05) * sd["sigma"])


def test_no_sd_is_too_small_for_the_search_to_begin():
    rows = random_rows(3, n_genes=4, n_lines=5, most_guides=1, most_replicates=1)
    exact = rows.assign(logfc=rows.gene.map({"g0": 0.5, "g1": -0.5, "g2": 1.5, "g3": -1.5}))
    found = Started("m4", exact)
    assert found.theta.min() >= np.log(SMALLEST_SHARE * exact.logfc.std(ddof=0))
    assert found.sd["sigma_alpha"] == pytest.approx(np.sqrt(1.25), rel=1e-3)
    assert found.sd["sigma"] < 1e-3
    assert found.left < 1e-4

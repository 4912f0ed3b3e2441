"""The models without guide effects in PyMC, and the registry of all models.

For gene g, cell line c and measurement i (docs/models.md)

    logfc_gci ~ Normal(alpha_g + gamma_c + beta_g * rna_gc, sigma).

The n_gc measurements of a gene-line pair share one mean, so the likelihood is exactly that of the
pair means and of the pooled squared deviations within pairs (Cochran's theorem):

    cell_mean_gc ~ Normal(alpha_g + gamma_c + beta_g * rna_gc, sigma / sqrt(n_gc))
    within_cell_ss ~ sigma^2 * ChiSquared(sum_gc (n_gc - 1))

which has a tenth of the terms on a real screen and the same posterior.

CONTRIBUTING explains how to add a model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
from pytensor.tensor.variable import TensorVariable

from model.engines.nuts.helpers import coords, prior, slopes, squares_within, zero_sum
from model.engines.nuts.nested import m4_nested
from model.engines.nuts.screen import screen_model
from model.likelihood.linear_predictor import linear_predictor
from model.screen.design import ScreenDesign
from schemas.model_spec import ModelSpec, model_spec
from schemas.parameters import ModelName, Priors


def build_model(name: ModelName, design: ScreenDesign, priors: Priors) -> pm.Model:
    """Return the PyMC model `name` of a design; variables and dims as in `schemas.posterior`."""
    return MODELS[name](model_spec(name, design.covariates), design, priors)


def m4(spec: ModelSpec, design: ScreenDesign, priors: Priors) -> pm.Model:
    """Return the original model, in its original, centred form.

        alpha_g ~ Normal(mu_alpha, sigma_alpha)
        gamma_c ~ Normal(mu_gamma, sigma_gamma)
        beta_g  ~ Normal(mu_beta, sigma_beta)

    Adding a number to every alpha and subtracting it from every gamma does not change the
    likelihood; only the priors of the two means identify it. A sampler moves along that ridge
    slowly, and hardly at all for a real screen; beta is not affected.
    """
    with pm.Model(coords=coords(design, cell=design.cells.gene.size)) as model:
        mu_alpha = prior("mu_alpha", priors.mu_alpha)
        mu_gamma = prior("mu_gamma", priors.mu_gamma)
        sigma_alpha = prior("sigma_alpha", priors.sigma_alpha)
        sigma_gamma = prior("sigma_gamma", priors.sigma_gamma)
        alpha = pm.Normal("alpha_g", mu_alpha, sigma_alpha, dims="gene")
        gamma = pm.Normal("gamma_c", mu_gamma, sigma_gamma, dims="cell_line")
        _likelihood(spec, design, priors, {"alpha_g": alpha, "gamma_c": gamma})
    return model


def m4_zero_mean(spec: ModelSpec, design: ScreenDesign, priors: Priors) -> pm.Model:
    """Return m4 with mu_gamma = 0, sampled through the means of alpha and gamma.

    The likelihood informs the sum of the two means, `level`, and the deviations from them, but
    hardly their split. With v_a = sigma_alpha^2 / G and v_c = sigma_gamma^2 / C

        level      = mean(alpha) + mean(gamma) ~ Normal(mu_alpha, sqrt(v_a + v_c))
        gamma_mean ~ Normal((level - mu_alpha) v_c / (v_a + v_c), sqrt(v_a v_c / (v_a + v_c)))

    and zero-sum deviations, which is the same prior on alpha_g and gamma_c as drawing them
    independently: the mean of independent normals is independent of their deviations from it.
    """
    with pm.Model(coords=coords(design, cell=design.cells.gene.size)) as model:
        mu_alpha = prior("mu_alpha", priors.mu_alpha)
        sigma_alpha = prior("sigma_alpha", priors.sigma_alpha)
        sigma_gamma = prior("sigma_gamma", priors.sigma_gamma)
        v_a = sigma_alpha**2 / len(design.genes)
        v_c = sigma_gamma**2 / len(design.cell_lines)
        level = pm.Normal("level", mu_alpha, pm.math.sqrt(v_a + v_c))
        gamma_mean = pm.Normal(
            "gamma_mean",
            (level - mu_alpha) * v_c / (v_a + v_c),
            pm.math.sqrt(v_a * v_c / (v_a + v_c)),
        )
        alpha_deviation = zero_sum("alpha_deviation", sigma_alpha, "gene", len(design.genes))
        gamma_deviation = zero_sum(
            "gamma_deviation", sigma_gamma, "cell_line", len(design.cell_lines)
        )
        alpha = pm.Deterministic("alpha_g", level - gamma_mean + alpha_deviation, dims="gene")
        gamma = pm.Deterministic("gamma_c", gamma_mean + gamma_deviation, dims="cell_line")
        _likelihood(spec, design, priors, {"alpha_g": alpha, "gamma_c": gamma})
    return model


MODELS: dict[ModelName, Callable[[ModelSpec, ScreenDesign, Priors], pm.Model]] = {
    "m4": m4,
    "m4_zero_mean": m4_zero_mean,
    "m4_nested": m4_nested,
    "m4_screen": screen_model,
}


def _likelihood(
    spec: ModelSpec, design: ScreenDesign, priors: Priors, effects: dict[str, TensorVariable]
) -> None:
    """Add slopes, sigma and the two observed statistics to the current model."""
    cells = design.cells
    effects |= slopes(spec, priors)
    sigma = prior("sigma", priors.sigma)
    mean = linear_predictor(spec, effects, cells)
    pm.Normal("cell_mean", mean, sigma / np.sqrt(cells.count), observed=cells.mean, dims="cell")
    squares_within("within_cell_ss", cells, sigma)

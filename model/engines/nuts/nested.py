"""The nested model in PyMC, with guide-line and gene-line effects integrated out.

docs/models.md defines the model.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from model.engines.nuts.helpers import coords, prior, slopes, squares_within, zero_sum
from model.likelihood.cell_covariance import pair_precision
from model.likelihood.linear_predictor import linear_predictor
from model.screen.design import GuideLines, ScreenDesign, guide_lines
from schemas.model_spec import ModelSpec
from schemas.parameters import Priors


def m4_nested(spec: ModelSpec, design: ScreenDesign, priors: Priors) -> pm.Model:
    """Return m4 with effects of guides, of gene-line pairs and of guide-line pairs.

        logfc_gkci ~ Normal(alpha_g + gamma_c + beta_g rna_gc + delta_k + eps_gc + zeta_kc, sigma)
        delta_k ~ Normal(0, sigma_guide)
        eps_gc  ~ Normal(0, sigma_gene_line)
        zeta_kc ~ Normal(0, sigma_guide_line)

    eps and zeta are integrated out (`guide_line_log_density`). The rest of the likelihood depends
    only on the guides' levels in a line of average gamma and on the lines' deviations from it.
    These are sampled, through the levels of the genes and the overall level:

        guide_level_k = alpha_g + delta_k + mean(gamma) ~ Normal(gene_level_g, sigma_guide)
        gene_level_g  = alpha_g + mean(gamma)           ~ Normal(level, sigma_alpha)
        level         = mu_alpha + mean(gamma)

    Only the priors determine how `level` splits (`_split_level`). Every step is a conditional of
    the joint prior above, which is therefore the same as drawing alpha, gamma and delta.
    """
    cells = guide_lines(design)
    labels = coords(design, guide_line=cells.guide.size) | {"guide": list(design.guides)}
    with pm.Model(coords=labels) as model:
        sigma_alpha = prior("sigma_alpha", priors.sigma_alpha)
        sigma_gamma = prior("sigma_gamma", priors.sigma_gamma)
        sigma_guide = prior("sigma_guide", priors.sigma_guide)
        level, gamma_mean = _split_level(priors, sigma_gamma**2 / len(design.cell_lines))
        gene_level = pm.Normal("gene_level", level, sigma_alpha, dims="gene")
        own_gene_level = gene_level[design.guide_gene]
        guide_level = pm.Normal("guide_level", own_gene_level, sigma_guide, dims="guide")
        gamma_deviation = zero_sum(
            "gamma_deviation", sigma_gamma, "cell_line", len(design.cell_lines)
        )
        pm.Deterministic("alpha_g", gene_level - gamma_mean, dims="gene")
        pm.Deterministic("gamma_c", gamma_mean + gamma_deviation, dims="cell_line")
        pm.Deterministic("delta_k", guide_level - own_gene_level, dims="guide")
        # The level of a guide includes that of its gene and the mean of the lines.
        effects = {"delta_k": guide_level, "gamma_c": gamma_deviation, **slopes(spec, priors)}
        _likelihood(cells, linear_predictor(spec, effects, cells), priors)
    return model


def _split_level(
    priors: Priors, variance_of_mean: TensorVariable
) -> tuple[TensorVariable, TensorVariable]:
    """Add level, mu_alpha and mu_gamma to the model; return level and gamma_mean.

    With mu_alpha ~ Normal(m_a, s_a), mu_gamma ~ Normal(m_c, s_c) and gamma_mean ~ Normal(mu_gamma,
    sqrt(v)), the sum level = mu_alpha + gamma_mean is Normal; mu_alpha given it and mu_gamma given
    the remaining gamma_mean are Normal too, by the weights of their variances.
    """
    (m_a, s_a), (m_c, s_c) = priors.mu_alpha.arguments, priors.mu_gamma.arguments
    v_level = s_a**2 + s_c**2 + variance_of_mean
    level = pm.Normal("level", m_a + m_c, pm.math.sqrt(v_level))
    mu_alpha = pm.Normal(
        "mu_alpha",
        m_a + (level - m_a - m_c) * s_a**2 / v_level,
        pm.math.sqrt(s_a**2 * (1 - s_a**2 / v_level)),
    )
    gamma_mean = level - mu_alpha
    share = s_c**2 / (s_c**2 + variance_of_mean)
    # mu_gamma is close to gamma_mean: sampled directly, the two would form a ridge.
    pm.Deterministic(
        "mu_gamma",
        m_c
        + (gamma_mean - m_c) * share
        + pm.math.sqrt(share * variance_of_mean) * pm.Normal("mu_gamma_standard"),
    )
    return level, gamma_mean


def _likelihood(cells: GuideLines, expected: TensorVariable, priors: Priors) -> None:
    """Add the sigmas of the measurements and the two observed statistics to the model.

    As in `model.engines.nuts.plain`, with guide-line means instead of gene-line means.
    """
    sigma = prior("sigma", priors.sigma)
    sigma_gene_line = prior("sigma_gene_line", priors.sigma_gene_line)
    sigma_guide_line = prior("sigma_guide_line", priors.sigma_guide_line)

    pm.CustomDist(
        "guide_line_mean",
        expected,
        sigma,
        sigma_gene_line,
        sigma_guide_line,
        logp=partial(guide_line_log_density, cells),
        random=partial(draw_guide_lines, cells),
        signature="(n),(),(),()->(n)",
        class_name="NestedNormal",
        observed=cells.mean,
        dims="guide_line",
    )
    squares_within("within_guide_line_ss", cells, sigma)


def guide_line_log_density(
    cells: GuideLines,
    mean: TensorVariable,
    expected: TensorVariable,
    sigma: TensorVariable,
    sigma_gene_line: TensorVariable,
    sigma_guide_line: TensorVariable,
) -> TensorVariable:
    """Return the log density of the guide-line means (N,), eps and zeta integrated out.

    Their covariance is sigma^2 V^-1 (`model.likelihood.cell_covariance`).
    """
    # Counts take few distinct values, so that logs and W are sums over these.
    counts, which = np.unique(cells.count, return_inverse=True)
    of_pair = np.zeros((cells.n_gene_lines, counts.size))
    np.add.at(of_pair, (cells.cell, which), 1.0)
    ratios = ((sigma_guide_line / sigma) ** 2, (sigma_gene_line / sigma) ** 2)
    pairs = pair_precision(counts, *ratios, lambda by_count: pt.dot(of_pair, by_count))
    deviation = mean - expected
    weighted = pairs.w[which] * deviation
    total = pt.inc_subtensor(pt.zeros(cells.n_gene_lines)[cells.cell], weighted)
    log_precision = pt.dot(of_pair.sum(axis=0), pt.log(pairs.w)) + pt.log(pairs.s).sum()
    quadratic = (weighted * deviation).sum() - (pairs.b * pairs.s * total**2).sum()
    log_noise = pt.log(2 * np.pi * sigma**2)
    return -0.5 * (cells.count.size * log_noise - log_precision + quadratic / sigma**2)


def draw_guide_lines(
    cells: GuideLines,
    expected: np.ndarray,
    sigma: np.ndarray,
    sigma_gene_line: np.ndarray,
    sigma_guide_line: np.ndarray,
    rng: np.random.Generator,
    size: object = None,
) -> np.ndarray:
    """Return random guide-line means (N,) of the density above; required by PyMC."""
    shared = rng.normal(0, sigma_gene_line, cells.n_gene_lines)[cells.cell]
    return rng.normal(expected + shared, np.sqrt(sigma_guide_line**2 + sigma**2 / cells.count))

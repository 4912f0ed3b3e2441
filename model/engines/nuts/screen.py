"""Models with sparse slopes and unequal genes and lines in PyMC, slopes and pairs integrated out.

docs/models.md defines them; `model.engines.nuts.sparse_slopes` draws the slopes afterwards.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.special import logsumexp
from pytensor.tensor.variable import TensorVariable

from model.engines.nuts import nested
from model.engines.nuts.helpers import coords, prior, zero_sum
from model.likelihood.cell_covariance import pair_precision
from model.likelihood.linear_predictor import linear_predictor
from model.likelihood.spreads import noise_by_line, spreads
from model.screen.design import GuideLines, ScreenDesign, guide_lines
from schemas.model_spec import Factor, Mixture, ModelSpec
from schemas.parameters import Priors


def screen_model(spec: ModelSpec, design: ScreenDesign, priors: Priors) -> pm.Model:
    """Return the PyMC model of a spec with guides and pairs, and any of its mixture and factors.

    It has the variables of the contract but the slopes with a mixture prior and `included_g`.
    Effects and factors are sampled in SDs of their priors: on a small screen an SD may be near 0,
    where a sampler of the effects themselves hardly goes (Betancourt and Girolami 2015, Hamiltonian
    Monte Carlo for hierarchical models).
    """
    units = guide_lines(design)
    labels = coords(design, guide_line=units.count.size) | {"guide": list(design.guides)}
    if spec.mixture:
        labels["component"] = list(spec.mixture.labels)
    with pm.Model(coords=labels) as model:
        known = _means(spec, priors)
        known |= {name: prior(name, getattr(priors, name)) for name in spec.sds}
        for effect in spec.effects:
            if effect.sd:
                standard = pm.Normal(f"{effect.name}_standard", dims=effect.dim)
                values = (known[effect.mean] if effect.mean else 0.0) + known[effect.sd] * standard
                known[effect.name] = pm.Deterministic(effect.name, values, dims=effect.dim)
        for factor in spec.factors:
            known[factor.name] = _factor(factor, known, len(design.labels[factor.dim]))
        _likelihood(spec, units, known)
    return model


def _means(spec: ModelSpec, priors: Priors) -> dict[str, TensorVariable]:
    """Add the population means to the model; return them by name.

    The measurements say much about the sum of the means of alpha and gamma, `level`, and little
    about how it splits. With mu_alpha ~ Normal(m_a, s_a) and mu_gamma ~ Normal(m_c, s_c), mu_alpha
    given the sum is Normal too, around m_a plus the share s_a^2 / (s_a^2 + s_c^2) of the sum's
    deviation. Sampled like this, the prior of both is the same.
    """
    gene, line = spec.gene_effects[0].mean, spec.line_effect.mean
    known: dict[str, TensorVariable] = {}
    if gene and line:
        (m_a, s_a), (m_c, s_c) = (getattr(priors, name).arguments for name in (gene, line))
        sd = np.hypot(s_a, s_c)
        level = pm.Normal("level", m_a + m_c, sd)
        centre = m_a + (s_a / sd) ** 2 * (level - m_a - m_c)
        known[gene] = pm.Normal(gene, centre, s_a * s_c / sd)
        known[line] = pm.Deterministic(line, level - known[gene])
    for name in spec.means:
        if name not in known:
            known[name] = prior(name, getattr(priors, name))
    return known


def _factor(factor: Factor, known: dict[str, TensorVariable], size: int) -> TensorVariable:
    """Add a factor of each gene or line to the model, through its log in SDs."""
    name = f"log_{factor.name}_standard"
    if factor.zero_sum:
        standard = zero_sum(name, 1.0, factor.dim, size)
    else:
        standard = pm.Normal(name, dims=factor.dim)
    values = pm.math.exp(known[factor.sd] * standard)
    if factor.of:
        values = known[factor.of] * values
    return pm.Deterministic(factor.name, values, dims=factor.dim)


def _likelihood(spec: ModelSpec, units: GuideLines, known: dict[str, TensorVariable]) -> None:
    """Add the weights of the mixture and the two observed statistics to the model.

    The squares within guide-line pairs are by line, since lines may differ in noise.
    """
    sds, every = spreads(spec, known, units), np.ones(units.count.size)
    given = [linear_predictor(spec, known, units), sds.noise * every]
    given += [(sds.gene_line * every)[_first(units)], sds.guide_line * every]
    signature = "(n),(n),(m),(n)"
    if spec.mixture:
        slope = spec.gene_effects[spec.rna_column]
        unit_slope: dict[str, Any] = {slope.name: np.ones(units.gene.max() + 1)}
        if spec.line_scale:
            unit_slope[spec.line_scale.name] = known[spec.line_scale.name]
        weights = pm.Dirichlet(
            spec.mixture.weights, np.array(spec.mixture.concentrations), dims="component"
        )
        given += [linear_predictor(spec, unit_slope, units), weights]
        signature += ",(n),(w)"
    pm.CustomDist(
        "guide_line_mean",
        *given,
        logp=partial(guide_line_log_density, units, spec.mixture),
        random=partial(draw_guide_lines, units, spec.mixture),
        signature=f"{signature}->(n)",
        class_name="MixtureOfNormals" if spec.mixture else "NestedNormal",
        observed=units.mean,
        dims="guide_line",
    )
    replicated = np.flatnonzero(units.line_within_df)
    if replicated.size:
        by_line = noise_by_line(spec, known, units.line_within_df.size)
        pm.Gamma(
            "within_guide_line_ss",
            alpha=units.line_within_df[replicated] / 2,
            beta=1 / (2 * by_line[replicated] ** 2),
            observed=units.line_within_ss[replicated],
        )


def guide_line_log_density(
    units: GuideLines,
    mixture: Mixture | None,
    mean: TensorVariable,
    expected: TensorVariable,
    noise: TensorVariable,
    gene_line: TensorVariable,
    guide_line: TensorVariable,
    *of_slopes: TensorVariable,
) -> TensorVariable:
    """Return the log density of the guide-line means (N,); eps, zeta and sparse slopes integrated.

    `expected` (N,) is at slopes of 0; `noise` (N,), `gene_line` (by gene-line pair) and
    `guide_line` (N,) are SDs. With a mixture, `of_slopes` are the derivative x of the expected
    value by the slope (N,) and the weights of the components. The slope b of a gene has the
    likelihood exp(score b - information b^2 / 2) relative to b = 0, with

        information = sum x V x    score = sum x V (mean - expected)

    (V: `model.likelihood.cell_covariance`).
    """

    def over(values: TensorVariable) -> TensorVariable:
        return pt.inc_subtensor(pt.zeros(units.n_gene_lines)[units.cell], values)

    def by_gene(values: TensorVariable) -> TensorVariable:
        return pt.inc_subtensor(pt.zeros(units.gene.max() + 1)[units.gene], values)

    def back(values: TensorVariable) -> TensorVariable:
        return values[units.cell]

    variance, deviation = noise**2, mean - expected
    ratios = (guide_line / noise) ** 2, (gene_line / noise[_first(units)]) ** 2
    pairs = pair_precision(units.count, *ratios, over)
    weighted = pairs.solve(deviation, over, back) / variance
    log_precision = pt.log(pairs.w / (2 * np.pi * variance)).sum() + pt.log(pairs.s).sum()
    log_density = 0.5 * (log_precision - (weighted * deviation).sum())
    if mixture is None:
        return log_density
    along, weights = of_slopes
    information = by_gene(along * pairs.solve(along, over, back) / variance)
    likelihoods = component_log_likelihoods(mixture, information, by_gene(along * weighted))
    return log_density + logsumexp(pt.log(weights) + likelihoods, axis=1).sum()


def _first(units: GuideLines) -> np.ndarray:
    """Return one guide-line pair of each gene-line pair (M,)."""
    return np.unique(units.cell, return_index=True)[1]


def draw_guide_lines(
    units: GuideLines,
    mixture: Mixture | None,
    expected: np.ndarray,
    noise: np.ndarray,
    gene_line: np.ndarray,
    guide_line: np.ndarray,
    *of_slopes: np.ndarray,
    rng: np.random.Generator,
    size: object = None,
) -> np.ndarray:
    """Return random guide-line means (N,) of the density above; required by PyMC."""
    if mixture:
        along, weights = of_slopes
        component = rng.choice(mixture.n_components, units.gene.max() + 1, p=weights)
        slope = np.array(mixture.signed_scales)[component] * abs(rng.normal(size=component.size))
        expected = expected + along * slope[units.gene]
    return nested.draw_guide_lines(units, expected, noise, gene_line, guide_line, rng)


def component_log_likelihoods(
    mixture: Mixture, information: TensorVariable, score: TensorVariable
) -> TensorVariable:
    """Return the log likelihood of each component of each slope, relative to 0 (G, components).

    That of a half-normal of one scale on the side d is, with t = information + 1 / scale^2 and
    z = d score / sqrt(t),

        log 2 - log(1 + scale^2 information) / 2 + z^2 / 2 + log Phi(z)
    """
    scale, sign = np.abs(mixture.signed_scales[1:]), np.sign(mixture.signed_scales[1:])
    z = sign * score[:, None] / pt.sqrt(information[:, None] + scale**-2)
    # Each branch is evaluated on its own side of 0 only: on the other it overflows, and with it
    # its derivative.
    below, above = pt.minimum(z, 0.0) / np.sqrt(2), pt.maximum(z, 0.0) / np.sqrt(2)
    log_phi = pt.switch(z < 0, pt.log(pt.erfcx(-below)), above**2 + pt.log(pt.erfc(-above)))
    half_normals = log_phi - 0.5 * pt.log1p(scale**2 * information[:, None])
    return pt.concatenate([pt.zeros_like(half_normals[:, :1]), half_normals], axis=1)

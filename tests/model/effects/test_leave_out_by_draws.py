"""Slopes without lines at given draws agree with dense matrices and integrals on a grid."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats

from model.effects import leave_out_by_draws as by_draws
from model.effects.influence import leaving_out_seconds
from model.effects.leave_out_by_draws import SampledScreen, choose_genes, leave_out_by_draws
from model.effects.within_lineage import rna_within, strata
from model.engines.gibbs.state import GibbsData
from model.runtime.executors import n_threads
from schemas.model_spec import MODEL_SPECS, Effect
from schemas.parameters import Priors
from tests.designs import design_from_rows
from tests.model.engines.exact.pieces import random_rows

SCREEN = MODEL_SPECS["m4_screen"]
KAPPA = Effect("kappa_g", "gene", "sigma_kappa", "mu_kappa", covariate="copy_number")
SPEC = replace(SCREEN, effects=(*SCREEN.effects, KAPPA))
LINES, DRAWS = 5, 6
GROUPS = np.array([np.arange(LINES) == 1, np.isin(np.arange(LINES), [0, 3])])
LINEAGE = ("Skin", "Lung", "Lung", "", "Skin")
RANDOM = np.random.default_rng(8)
DESIGN = replace(
    design_from_rows(random_rows(6, n_genes=4, n_lines=LINES)),
    covariates={"copy_number": RANDOM.normal(0, 0.5, (4, LINES))},
)


def invented() -> SampledScreen:
    """A screen with draws far from each other and from its posterior."""
    sizes = {"gene": 4, "cell_line": LINES, "guide": len(DESIGN.guides), "component": 13}
    draws = {
        name: RANDOM.normal(-0.5, 0.3, (DRAWS, *(sizes[dim] for dim in dims)))
        for name, dims in SPEC.variables.items()
    }
    signed = (*SPEC.means, "gamma_c")
    draws |= {name: np.exp(values) for name, values in draws.items() if name not in signed}
    draws["pi"] /= draws["pi"].sum(axis=1, keepdims=True)
    return SampledScreen(GibbsData.of(SPEC, DESIGN, Priors()), draws)


SAMPLED = invented()
SIZES = np.linspace(0, 9, 6001)
SLOPES, SIGN = np.concatenate([-SIZES, SIZES]), np.repeat([-1, 1], 6001)
STEP = np.tile(integrate.simpson(np.eye(6001), x=SIZES), 2)


def on_a_grid(gene, lines, rna=DESIGN.rna, weights=SAMPLED.draws["pi"]):
    """Return by draw the log evidence of a gene in some lines, the mass at SLOPES and components.

    From the density of its means of guides, with their dense covariance.
    """
    by_draw = []
    guide, line = np.nonzero(DESIGN.count * (DESIGN.guide_gene == gene)[:, None] * lines)
    n, copies = DESIGN.count[guide, line], DESIGN.covariates["copy_number"][gene, line]
    scale = np.array(SCREEN.mixture.signed_scales[1:])[:, None]
    prior = 2 * stats.norm.pdf(SLOPES, scale=np.abs(scale)) * (np.sign(scale) == SIGN) * STEP
    for draw, of_components in enumerate(weights):
        d = {name: values[draw] for name, values in SAMPLED.draws.items()}
        s, same_line = d["s_c"][line], np.equal.outer(line, line)
        cov = d["sigma_alpha"] ** 2 + d["sigma_kappa"] ** 2 * np.outer(copies, copies)
        cov += d["sigma_guide"] ** 2 * np.equal.outer(guide, guide)
        cov += d["omega_g"][gene] ** 2 * same_line + d["sigma_guide_line"] ** 2 * np.eye(len(n))
        cov = s[:, None] * cov * s + np.diag((d["sigma"] * d["f_c"][line]) ** 2 / n)
        known = d["gamma_c"][line] + s * (d["mu_alpha"] + d["mu_kappa"] * copies)
        error = DESIGN.total[guide, line] / n - known - np.outer([-1, 0, 1], s * rna[gene, line])
        below, at_0, above = stats.multivariate_normal(cov=cov).logpdf(error)
        log_ratio = SLOPES * (above - below) / 2 + SLOPES**2 * (above + below - 2 * at_0) / 2
        joint = of_components[1:, None] * prior * np.exp(log_ratio)
        components = np.append(of_components[0], joint.sum(axis=1))
        total = components.sum()
        by_draw.append((at_0 + np.log(total), joint.sum(axis=0) / total, components / total))
    return tuple(map(np.array, zip(*by_draw, strict=True)))


def test_slopes_without_lines_are_those_of_dense_matrices_and_integrals():
    progress: list[tuple[int, int]] = []
    out = leave_out_by_draws(SAMPLED, GROUPS, lambda *done: progress.append(done))
    assert progress == [(1, 1)] and out.elpd is None and out.pareto_k is None
    for gene in range(4):
        evidence, masses, _ = on_a_grid(gene, GROUPS[0] | True)
        lfsr = [require(out.whole, gene, masses.mean(axis=0))]
        for number, group in enumerate(GROUPS):
            without, masses, _ = on_a_grid(gene, ~group)
            weight = np.exp(without - evidence)
            weight = np.minimum(weight, weight.mean() * DRAWS**0.5)
            mass = weight / weight.sum() @ masses
            lfsr.append(require(out.without.part(number), gene, mass))
        found = [out.whole.lfsr[gene], *out.without.lfsr[:, gene]]
        assert found == pytest.approx(lfsr, abs=1e-5)


def require(slopes, gene, mass):
    """Return the lfsr of a mass at SLOPES, else at 0; fail unless a slope has its moments."""
    mean = mass @ SLOPES
    assert slopes.mean[gene] == pytest.approx(mean, abs=1e-5)
    assert slopes.sd[gene] == pytest.approx((mass @ SLOPES**2 - mean**2) ** 0.5, abs=1e-5)
    return 1 - max(mass[SIGN < 0].sum(), mass[SIGN > 0].sum())


def test_slopes_within_lineages_have_the_scale_of_the_whole_slope_and_either_sign():
    whole = leave_out_by_draws(SAMPLED, GROUPS).whole
    found = by_draws.within_lineages_by_draws(SAMPLED, LINEAGE, whole, share=0.4)
    used = (*SPEC.sds, "omega_g", "s_c", "f_c")
    at = {name: np.exp(np.log(SAMPLED.draws[name]).mean(axis=0)) for name in used}
    n, variance = DESIGN.count, (at["sigma"] * at["f_c"] / at["s_c"]) ** 2
    by_guide = n / (at["sigma_guide_line"] ** 2 * n + variance)
    weight = np.array([by_guide[DESIGN.guide_gene == gene].sum(axis=0) for gene in range(4)])
    weight /= 1 + at["omega_g"][:, None] ** 2 * weight
    rna, left = rna_within(DESIGN.rna, weight, strata(LINEAGE))
    np.testing.assert_allclose(found.rna_left, left)
    for gene in range(4):
        prior = on_a_grid(gene, GROUPS[0] | True)[2]
        either = prior[:, 1:].reshape(DRAWS, 2, -1).mean(axis=1)
        prior = np.hstack([prior[:, :1], either, either])
        mass = on_a_grid(gene, GROUPS[0] | True, rna, prior)[1].mean(axis=0)
        require(found, gene, mass)
        beyond = mass[SLOPES * np.sign(whole.mean[gene]) > 0.4 * abs(whole.mean[gene])].sum()
        assert found.prob_left[gene] == pytest.approx(beyond, abs=2e-3)  # of a step of the grid


def test_sure_genes_are_evaluated_first_and_the_time_is_that_of_the_genes_evaluated(monkeypatch):
    """Genes 1 and 3 are sure of their sign, the latter more; each has 64 x 3 slopes."""
    share = np.array([0.6, 0.96, 0.5, 0.99])
    beta = np.where(np.arange(100)[:, None] < 100 * share, -1.0, 1.0)[None]
    dims, genes = ("chain", "draw", "gene"), list(DESIGN.genes)
    posterior = xr.Dataset({"beta_g": (dims, beta)}, coords={"gene": genes})
    for most, genes in ((767, "013"), (575, "13"), (191, "3"), (1, "3"), (768, "0123")):
        monkeypatch.setattr("model.effects.leave_out_by_draws.MOST_SLOPES", most)
        chosen = choose_genes(DESIGN, posterior, 2, 0.05).genes
        assert chosen == tuple(f"g{gene}" for gene in genes)
    monkeypatch.setattr("model.effects.leave_out_by_draws.MOST_SLOPES", 3 * 64 * 6)
    seconds = 3 * 64 * (LINES + 1) * by_draws.SECONDS_PER_SLOPE / n_threads()
    assert leaving_out_seconds("m4_screen", DESIGN) == pytest.approx(seconds)

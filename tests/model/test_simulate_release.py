"""Simulated releases hold what they say: the model, its true values, and as much as was asked."""

from __future__ import annotations

import numpy as np
import pytest

from model.simulate_release import LINEAGES, SimulatedRelease, simulate_release
from schemas.posterior import CONTRACTS
from schemas.simulation import Simulation, TrueValues

SILENT = TrueValues(
    sigma=1e-9, sigma_guide=0, sigma_gene_line=0, sigma_guide_line=0
)  # what is left is alpha + gamma + beta r


def logfc(release: SimulatedRelease) -> np.ndarray:
    """All log fold changes, K x S."""
    return np.concatenate([values for _, values in release.blocks()])


def slow_mean(release: SimulatedRelease) -> np.ndarray:
    """Alpha + gamma + beta r of each guide and sequence, as it is written in the equation."""
    mean = np.empty((len(release.guides), len(release.sequences)))
    measured = ~np.isnan(logfc(release))
    parameters = release.parameters
    line_of = [list(release.cell_lines).index(name[:10]) for name in release.sequences]
    for g in range(len(release.genes)):
        guides = np.flatnonzero(release.guide_gene == g)
        lines = sorted({line_of[s] for s in np.flatnonzero(measured[guides].any(axis=0))})
        rna = release.log2_tpm[g]
        r = (rna - rna[lines].mean()) / rna[lines].std(ddof=1)
        for s, c in enumerate(line_of):
            mean[guides, s] = (
                parameters["alpha_g"][g] + parameters["gamma_c"][c] + parameters["beta_g"][g] * r[c]
            )
    return mean


@pytest.mark.parametrize("missing", [0, 0.6])
def test_measurements_are_those_of_the_equation(missing):
    settings = Simulation(
        genes=150, cell_lines=7, guides=2, missing=missing, true_values=SILENT, model="m4"
    )
    release = simulate_release(settings)
    values, mean = logfc(release), slow_mean(release)
    given = ~np.isnan(values)
    assert given.all() == (missing == 0)
    assert np.abs(values - mean)[given].max() < 1e-7


@pytest.mark.parametrize("term", ["sigma_guide", "sigma_gene_line", "sigma_guide_line", "sigma"])
def test_each_term_has_its_own_spread_and_reach(term):
    """All variance given to one term: it is constant where the model says, and as wide."""
    none = {"sigma_guide": 0.0, "sigma_gene_line": 0.0, "sigma_guide_line": 0.0, "sigma": 1e-9}
    settings = Simulation(
        genes=80, cell_lines=30, guides=3, true_values=TrueValues(**(none | {term: 0.7}))
    )
    release = simulate_release(settings)
    residual = logfc(release) - slow_mean(release)
    order = np.argsort(release.guide_gene, kind="stable")
    cells = residual[order].reshape(80, 3, 30, 2)  # gene, guide, line, replicate
    assert cells.std() == pytest.approx(0.7, rel=0.1)
    reach = {
        "sigma_guide": (2, 3),
        "sigma_gene_line": (1, 3),
        "sigma_guide_line": (3,),
        "sigma": (),
    }
    for axis in (1, 2, 3):
        spread = cells.std(axis=axis).mean()
        assert (spread < 1e-6) == (axis in reach[term])


def test_effects_have_the_population_they_are_drawn_from():
    population = TrueValues(
        mu_alpha=1, mu_gamma=-2, mu_beta=3, sigma_alpha=0.1, sigma_gamma=0.2, sigma_beta=0.3
    )
    release = simulate_release(Simulation(genes=2000, cell_lines=2000, true_values=population))
    for name, mean, sd in (("alpha_g", 1, 0.1), ("gamma_c", -2, 0.2), ("beta_g", 3, 0.3)):
        values = release.parameters[name]
        assert values.mean() == pytest.approx(mean, abs=5 * sd / 2000**0.5)
        assert values.std() == pytest.approx(sd, rel=0.1)


def test_zero_mean_has_no_mean_of_gamma():
    wide = TrueValues(mu_gamma=50)
    release = simulate_release(Simulation(model="m4_zero_mean", true_values=wide))
    assert np.abs(release.parameters["gamma_c"]).max() < 5


@pytest.mark.parametrize("model", CONTRACTS)
def test_truth_names_every_parameter_of_the_posterior_once(model):
    release = simulate_release(Simulation(model=model, genes=3, cell_lines=5, guides=2))
    truth = release.truth().set_index("parameter")["value"]
    sizes = {(): 1, ("gene",): 3, ("cell_line",): 5, ("guide",): 6}
    assert len(truth) == sum(sizes[dims] for dims in CONTRACTS[model].variables.values())
    assert truth.index.is_unique
    assert truth["beta_g[SIM2 (900002)]"] == release.parameters["beta_g"][1]
    assert truth["gamma_c[ACH-000005]"] == release.parameters["gamma_c"][4]
    assert truth["sigma"] == TrueValues.of_real_screen(model).sigma
    if model == "m4_nested":
        assert truth[f"delta_k[{release.guides[5]}]"] == release.parameters["delta_k"][5]


def test_guides_are_sorted_different_and_as_many_a_gene():
    release = simulate_release(Simulation(genes=500, guides=4))
    assert list(release.guides) == sorted(set(release.guides))
    assert {len(guide) for guide in release.guides} == {20}
    assert set("".join(release.guides)) == set("ACGT")
    assert (np.bincount(release.guide_gene) == 4).all()


def test_rna_could_be_log2_tpm_and_varies():
    rna = simulate_release(Simulation(genes=3000, cell_lines=200)).log2_tpm
    assert rna.min() >= 0
    assert rna.max() < 20
    sd = rna.std(axis=1, ddof=1)
    assert sd.min() > 0.29 and sd.max() < 1.81


def test_the_share_asked_for_is_missing_and_nothing_is_empty():
    release = simulate_release(Simulation(genes=300, cell_lines=50, missing=0.25))
    assert np.isnan(logfc(release)).mean() == pytest.approx(0.25, abs=0.01)
    almost_all = simulate_release(Simulation(genes=80, cell_lines=6, missing=0.999))
    given = ~np.isnan(logfc(almost_all))
    assert given.any(axis=0).all() and given.any(axis=1).all()
    assert given.mean() < 0.2


def test_the_seed_and_nothing_else_decides():
    settings = Simulation(genes=70, cell_lines=6, missing=0.1)
    first, again = simulate_release(settings), simulate_release(settings)
    np.testing.assert_array_equal(logfc(first), logfc(again))
    np.testing.assert_array_equal(logfc(first), logfc(first))
    other = simulate_release(settings.model_copy(update={"seed": 104}))
    assert not set(first.guides) & set(other.guides)
    assert not np.intersect1d(logfc(first), logfc(other)[~np.isnan(logfc(other))]).size


def letters(code: int) -> str:
    """A number below 4^20 as bases, the highest digit first."""
    return "".join("ACGT"[code // 4**place % 4] for place in range(19, -1, -1))


@pytest.mark.parametrize("model", ["m4_zero_mean", "m4_nested"])
@pytest.mark.parametrize("missing", [0, 0.93])
def test_a_seed_makes_what_it_has_always_made(model, missing):
    """Number by number, in the order of the draws: releases are known by their settings alone."""
    G, C, K, S = 12, 5, 300, 10
    settings = Simulation(
        model=model,
        genes=G,
        cell_lines=C,
        guides=25,
        replicates=2,
        missing=missing,
        seed=47,  # the second block begins with a guide that a sequence has to keep
        true_values=TrueValues(mu_gamma=0.75),
    )
    truth = TrueValues(mu_gamma=0.75)
    labels, rna, parameters, gaps, noise = (np.random.default_rng([47, k]) for k in range(5))
    release = simulate_release(settings)

    codes = sorted({*labels.integers(4**20, size=K).tolist()})
    assert release.guides.tolist() == [letters(code) for code in codes]
    guide_gene = labels.permutation([gene for gene in range(G) for _ in range(25)])
    assert release.guide_gene.tolist() == guide_gene.tolist()
    assert release.lineages.tolist() == labels.choice(LINEAGES, C).tolist()
    assert release.genes.tolist() == [f"SIM{gene} (90000{gene})" for gene in range(1, 10)] + [
        "SIM10 (900010)", "SIM11 (900011)", "SIM12 (900012)"
    ]  # fmt: skip
    lines = ["ACH-000001", "ACH-000002", "ACH-000003", "ACH-000004", "ACH-000005"]
    assert release.cell_lines.tolist() == lines
    assert release.sequences.tolist() == [
        f"{line}_Rep{replicate}_p4_Avana-1" for line in lines for replicate in "AB"
    ]

    z, sd, lowest = rna.normal(size=(G, C)), rna.uniform(0.3, 1.8, G), rna.uniform(0, 5, G)
    log2_tpm = np.empty((G, C))
    for g in range(G):
        scaled = sd[g] * z[g] / z[g].std(ddof=1)
        log2_tpm[g] = [round(value - scaled.min() + lowest[g], 6) for value in scaled]
    np.testing.assert_allclose(release.log2_tpm, log2_tpm, rtol=0, atol=1e-12)

    given = np.ones((K, S), bool)
    if missing:
        kept_sequence, kept_guide = gaps.integers(S, size=K), gaps.integers(K, size=S)
        given = gaps.random((K, S), dtype=np.float32) >= missing
        for k in range(K):
            given[k, kept_sequence[k]] = True
        for s in range(S):
            given[kept_guide[s], s] = True
        assert 256 in kept_guide

    r = np.empty((G, C))
    for g in range(G):
        measured = [c for c in range(C) if given[guide_gene == g][:, 2 * c : 2 * c + 2].any()]
        own = log2_tpm[g, measured]
        r[g] = (log2_tpm[g] - own.mean()) / own.std(ddof=1)

    alpha = parameters.normal(truth.mu_alpha, truth.sigma_alpha, G)
    mu_gamma = 0 if model == "m4_zero_mean" else truth.mu_gamma
    gamma = parameters.normal(mu_gamma, truth.sigma_gamma, C)
    beta = parameters.normal(truth.mu_beta, truth.sigma_beta, G)
    delta, epsilon = np.zeros(K), np.zeros((G, C))
    if model == "m4_nested":
        delta = parameters.normal(0, truth.sigma_guide, K)
        epsilon = parameters.normal(0, truth.sigma_gene_line, (G, C))
        np.testing.assert_array_equal(release.parameters["delta_k"], delta)

    expected = np.full((K, S), np.nan)
    for block in (range(256), range(256, K)):
        zeta = np.zeros((len(block), C))
        if model == "m4_nested":
            zeta = noise.normal(0, truth.sigma_guide_line, zeta.shape)
        error = noise.normal(0, truth.sigma, (len(block), S))
        for row, k in enumerate(block):
            g = guide_gene[k]
            for s in np.flatnonzero(given[k]):
                c = s // 2
                expected[k, s] = (
                    alpha[g] + gamma[c] + beta[g] * r[g, c] + epsilon[g, c]
                    + delta[k] + zeta[row, c] + error[row, s]
                )  # fmt: skip
    assert [(part.start, part.stop) for part, _ in release.blocks()] == [(0, 256), (256, 300)]
    np.testing.assert_allclose(logfc(release), expected, rtol=0, atol=1e-12)


def test_rna_is_in_sds_over_the_lines_a_gene_is_measured_in():
    """Even where those are two; 0 everywhere for a gene of one line, which is not fitted."""
    release = simulate_release(
        Simulation(model="m4", genes=30, cell_lines=6, guides=1, replicates=1, missing=0.8)
    )
    given = ~np.isnan(logfc(release))[np.argsort(release.guide_gene)]
    assert {1, 2, 3} <= {*given.sum(axis=1)}
    parameters = release.parameters
    for g, measured in enumerate(given):
        rna = release.log2_tpm[g]
        r = np.zeros(6)
        if measured.sum() > 1:
            r = (rna - rna[measured].mean()) / rna[measured].std(ddof=1)
        expected = parameters["alpha_g"][g] + parameters["gamma_c"] + parameters["beta_g"][g] * r
        np.testing.assert_allclose(release.cell_mean[g], expected, rtol=0, atol=1e-12)

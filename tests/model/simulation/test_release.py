"""A simulated release is drawn from its model and its true values, with as much as was asked."""

from typing import get_args

import numpy as np
import pytest
from scipy import stats

from model.simulation.release import LINEAGES, simulate_release
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import ModelName
from schemas.simulation import Simulation, TrueValues


@pytest.mark.parametrize("model", get_args(ModelName))
def test_the_truth_names_every_parameter_of_the_posterior_once(model):
    release = simulate_release(Simulation(model=model, genes=3, cell_lines=5, guides=2))
    truth = release.truth().set_index("parameter")["value"]
    sizes = {(): 1, ("gene",): 3, ("cell_line",): 5, ("guide",): 6, ("component",): 13}
    variables = MODEL_SPECS[model].variables
    n_known = sum(sizes[dims] for name, dims in variables.items() if name != "included_g")
    assert len(truth) == n_known
    assert truth.index.is_unique
    assert truth["beta_g[SIM2 (900002)]"] == release.parameters["beta_g"][1]
    assert truth["gamma_c[ACH-000005]"] == release.parameters["gamma_c"][4]
    assert truth["sigma"] == TrueValues.of_real_screen(model).sigma
    if model == "m4_nested":
        assert truth[f"delta_k[{release.guides[5]}]"] == release.parameters["delta_k"][5]


@pytest.mark.parametrize(
    ("model", "missing"), [("m4", 0), ("m4_zero_mean", 0.93), ("m4_nested", 0), ("m4_nested", 0.93)]
)
def test_settings_determine_every_number(model, missing):
    """Number by number, in the order of the draws: settings alone identify a release."""
    G, C, K, S = 12, 5, 300, 10
    truth = TrueValues(mu_gamma=0.75)
    sizes = {"genes": G, "cell_lines": C, "guides": 25, "replicates": 2, "missing": missing}
    # With this seed the second block begins with a guide that a sequence has to keep.
    settings = Simulation(model=model, seed=47, true_values=truth, **sizes)
    labels, rna, parameters, gaps, noise = (np.random.default_rng([47, k]) for k in range(5))
    release = simulate_release(settings)

    codes, acgt = sorted({*labels.integers(4**20, size=K).tolist()}), str.maketrans("0123", "ACGT")
    assert release.guides.tolist() == [
        np.base_repr(of, 4).zfill(20).translate(acgt) for of in codes
    ]
    guide_gene = labels.permutation([gene for gene in range(G) for _ in range(25)])
    assert release.guide_gene.tolist() == guide_gene.tolist()
    assert [it[:10] for it in release.sequences] == [*np.repeat(release.cell_lines, 2)]
    assert release.lineages.tolist() == labels.choice(LINEAGES, C).tolist()

    z, sd, lowest = rna.normal(size=(G, C)), rna.uniform(0.3, 1.8, G), rna.uniform(0, 5, G)
    scaled = sd[:, None] * z / z.std(axis=1, ddof=1, keepdims=True)
    log2_tpm = (scaled - scaled.min(axis=1, keepdims=True) + lowest[:, None]).round(6)
    np.testing.assert_allclose(release.log2_tpm, log2_tpm, rtol=0, atol=1e-12)

    given = np.ones((K, S), bool)
    if missing:
        kept_sequence, kept_guide = gaps.integers(S, size=K), gaps.integers(K, size=S)
        given = gaps.random((K, S), dtype=np.float32) >= missing
        given[range(K), kept_sequence] = True
        given[kept_guide, range(S)] = True
        assert 256 in kept_guide

    r = np.empty((G, C))
    for g in range(G):
        own = log2_tpm[g, given[guide_gene == g].any(axis=0).reshape(C, 2).any(axis=1)]
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

    scatter = np.empty((K, S))
    for block in (slice(0, 256), slice(256, K)):
        size = len(scatter[block])
        zeta = np.zeros((size, C))
        if model == "m4_nested":
            zeta = noise.normal(0, truth.sigma_guide_line, zeta.shape)
        scatter[block] = zeta.repeat(2, axis=1) + noise.normal(0, truth.sigma, (size, S))
    mean = (alpha[:, None] + gamma + beta[:, None] * r + epsilon)[guide_gene] + delta[:, None]
    expected = np.where(given, mean.repeat(2, axis=1) + scatter, np.nan)
    assert [(part.start, part.stop) for part, _ in release.blocks()] == [(0, 256), (256, 300)]
    found = np.concatenate([values for _, values in release.blocks()])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_screen_of_m4_screen_has_sparse_slopes_and_unequal_lines_and_genes():
    values = TrueValues.of_real_screen("m4_screen").model_copy(
        update={"sigma_alpha": 0.0, "mu_alpha": 0.0, "share_nonzero": 0.2}
    )
    settings = Simulation(genes=2000, cell_lines=30, guides=2, true_values=values)
    release = simulate_release(settings)
    true, r = release.parameters, stats.zscore(release.log2_tpm, axis=1, ddof=1)
    beta, scale = true["beta_g"], true["s_c"]
    assert np.mean(beta != 0) == pytest.approx(0.2, abs=0.03)
    assert np.mean(beta[beta != 0] < 0) == pytest.approx(0.75, abs=0.06)
    assert 0.1 < np.median(np.abs(beta[beta != 0])) < 0.4
    assert np.log(scale).sum() == pytest.approx(0, abs=1e-9)
    pairs = (release.cell_mean - true["gamma_c"]) / scale - beta[:, None] * r
    assert (pairs / true["omega_g"][:, None]).std(axis=0) == pytest.approx(1, abs=0.08)
    measured = np.concatenate([block for _, block in release.blocks()]).reshape(4000, 30, 2)
    noise = np.ptp(measured, axis=2) / np.sqrt(2)
    of_lines = np.sqrt((noise**2).mean(axis=0))
    assert of_lines == pytest.approx(true["sigma"] * true["f_c"], rel=0.06)
    of_guides = measured.mean(axis=2) - release.cell_mean[release.guide_gene]
    left = of_guides / scale - true["delta_k"][:, None]
    expected = np.sqrt(0.19**2 + (true["sigma"] * true["f_c"] / scale) ** 2 / 2)
    assert left.std(axis=0) == pytest.approx(expected, rel=0.06)

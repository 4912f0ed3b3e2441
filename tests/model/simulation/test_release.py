"""A simulated release is drawn from its model and its true values, with as much as was asked."""

from typing import get_args

import numpy as np
import pytest
from scipy import stats

from model.simulation.release import simulate_release
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
    ("model", "missing", "as_before"),
    [
        *(("m4", 0, 2161.6920551223793), ("m4_zero_mean", 0.93, -169.76296522064538)),
        *(("m4_nested", 0, 2301.6197248863905), ("m4_nested", 0.93, 394.44182703549853)),
    ],
)
def test_settings_determine_values_that_follow_the_equation(model, missing, as_before):
    truth = TrueValues(mu_gamma=0.75)
    sizes = {"genes": 12, "cell_lines": 5, "guides": 25, "replicates": 2, "missing": missing}
    # With this seed the second block begins with a guide that a sequence has to keep.
    release = simulate_release(Simulation(model=model, seed=47, true_values=truth, **sizes))
    assert [(part.start, part.stop) for part, _ in release.blocks()] == [(0, 256), (256, 300)]
    values = np.concatenate([values for _, values in release.blocks()])
    weights = np.linspace(1, 2, values.size).reshape(values.shape)
    assert np.nansum(weights * values) == pytest.approx(as_before, rel=1e-9)  # as ever
    given = ~np.isnan(values)
    assert given.any(axis=0).all() and given.any(axis=1).all()
    assert given.mean() < 0.2 if missing else given.all()
    true, pairs = release.parameters, given.reshape(300, 5, 2)
    r = np.empty((12, 5))
    for g, rna in enumerate(release.log2_tpm):
        own = rna[pairs[release.guide_gene == g].any(axis=(0, 2))]
        r[g] = (rna - own.mean()) / own.std(ddof=1)
    epsilon = release.cell_mean - true["alpha_g"][:, None] - true["gamma_c"]
    epsilon -= true["beta_g"][:, None] * r
    left = values.reshape(300, 5, 2) - release.cell_mean[release.guide_gene][..., None]
    left -= true.get("delta_k", np.zeros(300))[:, None, None]
    nested = model == "m4_nested"
    assert epsilon.std() == pytest.approx(nested * truth.sigma_gene_line, rel=0.25, abs=1e-12)
    sd = (truth.sigma**2 + nested * truth.sigma_guide_line**2) ** 0.5
    assert np.nanstd(left) == pytest.approx(sd, rel=0.1)


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

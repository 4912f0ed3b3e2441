"""Predictive checks: calm on data of the model, and each loud on the failure it is made for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.checks import QUANTITIES, predictive_checks, replicated_quantities
from model.engines import run_engine
from model.predictive import draw_prior, fitted_cells, replicate_cells, thin
from schemas.parameters import FitParameters, Priors, Sampling
from tests.designs import design_from_rows, nested_rows

N_GENES, N_LINES, N_GUIDES, N_REPLICATES = 12, 15, 4, 3


def screen(
    random,
    guide_sd=0.0,
    gene_line_sd=0.0,
    cell_sd=0.0,
    line_noise=0.0,
    gene_noise=0.0,
    shift=0.0,
    tail=0.0,
):
    """Rows of a screen with true alpha = gamma = beta = 0 and sigma = 1, and one thing wrong."""
    index = pd.MultiIndex.from_product(
        [range(N_GENES), range(N_LINES), range(N_GUIDES), range(N_REPLICATES)],
        names=["gene", "line", "guide", "replicate"],
    )
    rows = index.to_frame(index=False)
    guide = random.normal(0, guide_sd, (N_GENES, N_GUIDES))
    gene_line = random.normal(0, gene_line_sd, (N_GENES, N_LINES))
    cell = random.normal(0, cell_sd, (N_GENES, N_LINES, N_GUIDES))
    noise = np.exp(
        line_noise * random.normal(size=N_LINES)[rows.line]
        + gene_noise * random.normal(size=N_GENES)[rows.gene]
    )
    low = tail * (random.uniform(size=(N_GENES, N_LINES, N_GUIDES)) < 0.1)
    rna = random.normal(size=(N_GENES, N_LINES))
    rows["logfc"] = (
        guide[rows.gene, rows.guide]
        + gene_line[rows.gene, rows.line]
        + (cell + low)[rows.gene, rows.line, rows.guide]
        + noise * random.normal(size=len(rows))
        + shift
    )
    rows["rna"] = rna[rows.gene, rows.line]
    return pd.DataFrame(
        {
            "gene": rows.gene.map("g{:02d}".format),
            "cell_line": rows.line.map("c{:02d}".format),
            "guide": rows.gene.map("g{:02d}".format) + rows.guide.map("/{}".format),
            "rna": rows.rna,
            "logfc": rows.logfc,
        }
    )


def near_truth(random, n_draws=300) -> xr.Dataset:
    """Draws about the true values, as narrow as a posterior would be."""
    dims = ("chain", "draw")
    return xr.Dataset(
        {
            "alpha_g": ((*dims, "gene"), random.normal(0, 0.03, (1, n_draws, N_GENES))),
            "gamma_c": ((*dims, "cell_line"), random.normal(0, 0.03, (1, n_draws, N_LINES))),
            "beta_g": ((*dims, "gene"), random.normal(0, 0.03, (1, n_draws, N_GENES))),
            "sigma": (dims, random.normal(1, 0.01, (1, n_draws))),
        },
        coords={
            "gene": [f"g{code:02d}" for code in range(N_GENES)],
            "cell_line": [f"c{code:02d}" for code in range(N_LINES)],
        },
    )


def checks_of(parameters, design):
    return predictive_checks(replicated_quantities(parameters, design, "posterior", seed=1))


def p_values(**wrong) -> dict[str, float]:
    random = np.random.default_rng(7)
    design = design_from_rows(screen(random, **wrong))
    checks = checks_of(near_truth(random), design)
    return {check.name: check.p_value for check in checks}


def test_data_of_the_model_raise_no_alarm():
    values = p_values()
    assert set(values) == set(QUANTITIES)
    assert all(0.005 < p < 0.995 for p in values.values()), values


@pytest.mark.parametrize(
    ("wrong", "quantity", "side"),
    [
        ({"shift": 0.3}, "mean", "low"),
        ({"cell_sd": 0.6}, "sd", "low"),
        ({"tail": -4.0}, "quantile_05", "high"),
        ({"tail": 4.0}, "quantile_95", "low"),
        ({"gene_noise": 0.5}, "gene_residual_spread", "low"),
        ({"line_noise": 0.5}, "line_residual_spread", "low"),
        ({"line_noise": 0.2}, "line_noise_spread", "low"),
        ({"tail": -4.0}, "tail_weight", "low"),
        ({"guide_sd": 0.5}, "guide_variance", "low"),
        ({"gene_line_sd": 0.3}, "within_cell_correlation", "low"),
    ],
)
def test_each_check_sees_its_failure(wrong, quantity, side):
    p = p_values(**wrong)[quantity]
    assert p < 0.005 if side == "low" else p > 0.995


def test_replicates_that_agree_too_well_are_seen():
    random = np.random.default_rng(7)
    rows = screen(random)
    # Half the variance belongs to the guide in its line, the other half to the replicate.
    shared = rows.groupby(["guide", "cell_line"]).logfc.transform("first")
    design = design_from_rows(rows.assign(logfc=np.sqrt(0.5) * (shared + rows.logfc)))
    checks = checks_of(near_truth(random), design)
    assert {check.name: check.p_value for check in checks}["within_guide_variance"] > 0.995


@pytest.mark.parametrize(
    ("once", "hidden"),
    [
        (["guide", "cell_line"], {"within_guide_variance", "line_noise_spread"}),
        ([], {"guide_variance", "within_cell_correlation"}),
    ],
)
def test_what_a_screen_cannot_show_is_left_out(once, hidden):
    """Replicates of a guide, and several guides of a gene."""
    random = np.random.default_rng(7)
    rows = screen(random)
    rows = rows.drop_duplicates(once) if once else rows[rows.guide.str.endswith("/0")]
    checks = checks_of(near_truth(random), design_from_rows(rows))
    assert {check.name for check in checks} == set(QUANTITIES) - hidden


def test_the_correlation_is_that_between_guides_of_a_gene_in_a_line():
    """Guides that differ for good, and lines that are noisier, are none of its business."""
    random = np.random.default_rng(7)
    rows = screen(random, gene_line_sd=1.0, guide_sd=2.0)
    (check,) = (
        one
        for one in checks_of(near_truth(random), design_from_rows(rows))
        if one.name == "within_cell_correlation"
    )
    # Variances: 1 of the cell, 1 / 3 of the mean of three replicates.
    assert check.observed == pytest.approx(1 / (1 + 1 / 3), abs=0.06)
    for wrong in ({"guide_sd": 2.0}, {"line_noise": 0.5}, {"gene_noise": 0.5}, {"cell_sd": 1.0}):
        assert 0.005 < p_values(**wrong)["within_cell_correlation"] < 0.995, wrong


def test_a_line_with_one_replicate_a_guide_says_nothing_of_its_noise():
    random = np.random.default_rng(7)
    rows = screen(random)
    first = rows.cell_line == "c00"
    rows = pd.concat([rows[~first], rows[first].drop_duplicates("guide")], ignore_index=True)
    values = {check.name: check for check in checks_of(near_truth(random), design_from_rows(rows))}
    assert 0.005 < values["line_noise_spread"].p_value < 0.995


def test_nan_is_reported_not_dropped():
    random = np.random.default_rng(7)
    parameters = near_truth(random)
    parameters["beta_g"][0, 5, 0] = np.nan
    checks = checks_of(parameters, design_from_rows(screen(random)))
    assert {check.name for check in checks} == set(QUANTITIES)
    of_replicates = {"within_guide_variance", "line_noise_spread"}
    assert all(np.isnan(c.p_value) for c in checks if c.name not in of_replicates)


def test_replicated_cells_have_the_moments_of_the_model():
    random = np.random.default_rng(7)
    design = design_from_rows(screen(random))
    fixed = near_truth(random, 2000) * 0
    fixed["alpha_g"] = fixed["alpha_g"] + 2.0
    fixed["sigma"] = fixed["sigma"] + 1.5
    replicates = replicate_cells(fixed, design, seed=1)
    n = N_GUIDES * N_REPLICATES
    means = replicates["cell_mean"].to_numpy()
    assert abs(means.mean() - 2.0) < 0.005
    assert abs(means.std() / (1.5 / np.sqrt(n)) - 1) < 0.01
    per_df = replicates["within_cell_ss"].to_numpy() / design.cells.within_df
    assert abs(per_df.mean() / 1.5**2 - 1) < 0.01


def test_prior_draws_follow_the_priors():
    design = design_from_rows(screen(np.random.default_rng(7)))
    priors = Priors.model_validate({"mu_alpha": "Normal(5, 0.1)", "sigma_alpha": "HalfNormal(1)"})
    prior = draw_prior("m4", design, priors, 4000, seed=1)
    assert prior["gamma_c"].shape == (1, 4000, N_LINES)
    assert abs(float(prior["alpha_g"].mean()) - 5) < 0.05
    assert abs(float(prior["sigma_alpha"].mean()) - np.sqrt(2 / np.pi)) < 0.03
    assert abs(float(prior["sigma"].mean()) - 1) < 0.05
    standard = (prior["beta_g"] - prior["mu_beta"]) / prior["sigma_beta"]
    assert abs(float(standard.std()) - 1) < 0.02


def test_zero_mean_prior_has_no_mu_gamma():
    design = design_from_rows(screen(np.random.default_rng(7)))
    prior = draw_prior("m4_zero_mean", design, Priors(), 4000, seed=1)
    assert "mu_gamma" not in prior
    assert abs(float((prior["gamma_c"] / prior["sigma_gamma"]).mean())) < 0.02


def test_fitted_cells_cover_the_expectation():
    random = np.random.default_rng(7)
    design = design_from_rows(screen(random))
    posterior = near_truth(random, 500)
    table = fitted_cells(posterior, design)
    assert list(table.columns) == [
        "gene", "cell_line", "rna", "logfc_mean", "fitted", "hdi_low", "hdi_high",
    ]  # fmt: skip
    assert len(table) == N_GENES * N_LINES
    width = (table.hdi_high - table.hdi_low) / (0.03 * np.sqrt(2 + table.rna**2))
    assert abs(width.mean() - 2 * 1.598) < 0.1  # 89 % of a normal


@pytest.mark.parametrize(("n_draws", "kept"), [(100, 100), (101, 102), (10_000, 1000)])
def test_thinning_keeps_whole_chains(n_draws, kept):
    posterior = xr.Dataset({"x": (("chain", "draw"), np.arange(1000.0).reshape(2, 500))})
    assert thin(posterior, n_draws)["x"].size == kept


def test_what_decides_is_dependence_between_measurements():
    decide = {name for name, quantity in QUANTITIES.items() if quantity.bears_on_beta}
    assert decide == {"guide_variance", "within_cell_correlation", "within_guide_variance"}


@pytest.mark.parametrize(("model", "unlike"), [("m4_zero_mean", True), ("m4_nested", False)])
def test_a_model_without_the_variances_of_the_screen_is_unlike_it(model, unlike):
    design = design_from_rows(nested_rows(n_genes=30, n_lines=15, n_guides=3, n_replicates=2)[0])
    parameters = FitParameters(model=model, engine="exact", sampling=Sampling(draws=500, chains=2))
    posterior = run_engine(design, parameters)["posterior"].dataset
    decisive = [check for check in checks_of(thin(posterior, 400), design) if check.bears_on_beta]
    assert len(decisive) == 3
    for check in decisive:
        assert (min(check.p_value, 1 - check.p_value) < 0.005) == unlike, check

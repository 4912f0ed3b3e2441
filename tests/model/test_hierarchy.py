"""The PyMC models against the model written down row by row."""

from __future__ import annotations

import tempfile

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from model.hierarchy import build_model
from schemas.parameters import Priors
from tests.designs import design_from_rows, original_rows


@pytest.fixture(scope="module")
def rows():
    """An unbalanced screen: some measurements, and one whole cell, are missing."""
    rows = original_rows().iloc[::2]
    return rows[~((rows.gene == "geneB") & (rows.cell_line == "cellC"))]


def log_density_of_rows(rows, design, point):
    """m4 as docs/models.md states it: every measurement a normal, every prior as run."""
    gene = rows.gene.map({label: i for i, label in enumerate(design.genes)}).to_numpy()
    line = rows.cell_line.map({label: i for i, label in enumerate(design.cell_lines)}).to_numpy()
    mean = point["alpha_g"][gene] + point["gamma_c"][line] + point["beta_g"][gene] * rows.rna
    scales = [point[name] for name in ("sigma_alpha", "sigma_gamma", "sigma_beta", "sigma")]
    return (
        stats.norm.logpdf(rows.logfc, mean, point["sigma"]).sum()
        + stats.norm.logpdf(point["alpha_g"], point["mu_alpha"], point["sigma_alpha"]).sum()
        + stats.norm.logpdf(point["gamma_c"], point["mu_gamma"], point["sigma_gamma"]).sum()
        + stats.norm.logpdf(point["beta_g"], point["mu_beta"], point["sigma_beta"]).sum()
        + stats.norm.logpdf([point["mu_alpha"], point["mu_gamma"]], 0, 2).sum()
        + stats.norm.logpdf(point["mu_beta"], 0, 1)
        + stats.expon.logpdf(scales).sum()
        + np.log(scales).sum()  # PyMC samples log sigma
    )


def test_m4_has_the_density_of_the_model_by_rows(rows):
    design = design_from_rows(rows)
    model = build_model("m4", design, Priors())
    log_density = model.compile_logp()
    random = np.random.default_rng(1)
    differences = []
    for _ in range(5):
        point = {
            **{name: random.normal() for name in ("mu_alpha", "mu_gamma", "mu_beta")},
            "alpha_g": random.normal(size=5),
            "gamma_c": random.normal(size=len(design.cell_lines)),
            "beta_g": random.normal(size=5),
        }
        scales = {
            name: np.exp(random.normal())
            for name in ("sigma_alpha", "sigma_gamma", "sigma_beta", "sigma")
        }
        transformed = {f"{name}_log__": np.array(np.log(sd)) for name, sd in scales.items()}
        ours = log_density({**{k: np.array(v) for k, v in point.items()}, **transformed})
        differences.append(float(ours) - log_density_of_rows(rows, design, {**point, **scales}))
    # Equal up to a constant: the density of the data given their sufficient statistics.
    np.testing.assert_allclose(differences, differences[0], rtol=1e-9)


def test_m4_zero_mean_draws_alpha_and_gamma_independently(rows):
    design = design_from_rows(rows)
    with build_model("m4_zero_mean", design, Priors()):
        prior = pm.sample_prior_predictive(
            4000,
            random_seed=1,
            var_names=["alpha_g", "gamma_c", "mu_alpha", "sigma_alpha", "sigma_gamma"],
        )["prior"].dataset.isel(chain=0)
    alpha = ((prior["alpha_g"] - prior["mu_alpha"]) / prior["sigma_alpha"]).to_numpy()
    gamma = (prior["gamma_c"] / prior["sigma_gamma"]).to_numpy()
    standard = np.concatenate([alpha.reshape(4000, -1), gamma.reshape(4000, -1)], axis=1)
    # 4,000 draws: a correlation of independent normals has an SD of 0.016.
    np.testing.assert_allclose(np.cov(standard.T), np.eye(standard.shape[1]), atol=0.12)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=0.07)


def test_priors_can_be_set(rows):
    priors = Priors.model_validate({"mu_beta": "Normal(3, 0.01)", "sigma_beta": "HalfNormal(0.02)"})
    with build_model("m4", design_from_rows(rows), priors):
        prior = pm.sample_prior_predictive(200, random_seed=1, var_names=["beta_g"])["prior"]
    assert abs(float(prior["beta_g"].mean()) - 3) < 0.02
    assert float(prior["beta_g"].std()) < 0.1


def test_compiling_a_model_leaves_nothing_among_temporary_files(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = build_model("m4", design_from_rows(rows), Priors())
    pm.draw(model["mu_alpha"] + 1, random_seed=1)
    assert list(tmp_path.iterdir()) == []

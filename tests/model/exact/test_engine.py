"""The exact engine as a whole: against published numbers, NUTS and lme4, and on awkward screens."""

from __future__ import annotations

from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from deployments.demo import comparison
from model.design import ScreenDesign
from model.engines import complete, run_engine
from model.preparation import prepare
from model.summary import parameter_summary
from schemas.dataset import Dataset
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from tasks.validate import validate
from tests.designs import design_from_rows, nested_rows, original_rows

MODELS: tuple[ModelName, ...] = ("m4", "m4_zero_mean", "m4_nested")


def parameters(model: ModelName = "m4", **sampling: int) -> FitParameters:
    return FitParameters(
        model=model, engine="exact", sampling=Sampling.model_validate({"draws": 2000, **sampling})
    )


def fit(design: ScreenDesign, model: ModelName = "m4", **sampling: int) -> xr.DataTree:
    return run_engine(design, parameters(model, **sampling))


def moments(posterior: xr.Dataset) -> pd.DataFrame:
    """Mean, sd and Monte Carlo error of the mean of every parameter, by label."""
    return az.summary(posterior, kind="all", round_to="none")[["mean", "sd", "mcse_mean"]]


@pytest.fixture(scope="module")
def simulated() -> ScreenDesign:
    return design_from_rows(original_rows())


@pytest.fixture(scope="module")
def exact_simulated(simulated) -> xr.DataTree:
    return fit(simulated)


@pytest.fixture(scope="module")
def real(avana: Dataset) -> ScreenDesign:
    settings = FitParameters()
    validated = validate(avana, settings)
    assert validated.screen is not None and validated.statistics is not None
    return prepare(validated.screen, validated.statistics, settings, avana.rna_units)[0]


def test_the_published_table_is_reproduced(exact_simulated):
    table = comparison(parameter_summary(exact_simulated))
    assert len(table) == 36  # sigma is not in the published table
    assert table["difference_in_mcse"].abs().max() < 4
    assert (table["sd"] / table["published_sd"]).sub(1).abs().max() < 0.05


@pytest.mark.parametrize("model", ["m4_zero_mean", "m4"])
def test_nuts_agrees_on_the_simulated_screen(model, simulated):
    draws = {"m4": 30_000, "m4_zero_mean": 5_000}[model]
    sampled = run_engine(
        simulated,
        FitParameters(model=model, engine="nuts", sampling=Sampling(draws=draws, tune=2000)),
    )
    nuts, exact = (moments(tree["posterior"].dataset) for tree in (sampled, fit(simulated, model)))
    error = np.hypot(nuts["mcse_mean"], exact["mcse_mean"])
    assert ((nuts["mean"] - exact["mean"]).abs() / error).max() < 4
    assert (exact["sd"] / nuts["sd"]).sub(1).abs().max() < 0.05


@pytest.mark.parametrize(
    ("model", "groups"),
    [
        ("m4", {"sigma_alpha": "Gene", "sigma_gamma": "ModelID", "sigma": "Residual"}),
        (
            "m4_nested",
            {
                "sigma_alpha": "Gene.1",
                "sigma_gamma": "ModelID",
                "sigma": "Residual",
                "sigma_guide": "sgRNA",
                "sigma_gene_line": "Gene.ModelID",
                "sigma_guide_line": "sgRNA.ModelID",
            },
        ),
    ],
)
def test_lme4_agrees_on_the_real_screen(model, groups, real, shared: Path):
    tree = fit(real, model)
    posterior = tree["posterior"].dataset
    table = pd.read_csv(shared / "reference" / "avana_lme4_sd.csv")
    table = table[table["model"] == model]
    slope = table[table["term"] == "rna"]["sd"].item()
    estimates = {"sigma_beta": slope} | {
        name: table[(table["group"] == group) & (table["term"] != "rna")]["sd"].item()
        for name, group in groups.items()
    }
    for name, estimate in estimates.items():
        draws = posterior[name]
        assert abs(float(draws.mean()) - estimate) < float(draws.std()), name
    beta = pd.read_csv(shared / "reference" / "avana_lme4_beta.csv", index_col="gene")
    found = posterior["beta_g"]
    estimate = beta[f"beta_{model}"].reindex(found["gene"].to_numpy())
    away = (found.mean(("chain", "draw")) - estimate.to_numpy()) / found.std(("chain", "draw"))
    assert estimate.notna().all()
    assert float(np.abs(away).max()) < 1
    statistics = tree["sample_stats"].dataset
    assert statistics["pareto_k"] < 0.5
    assert statistics["importance_efficiency"] > 0.8
    assert statistics["interpolation_error"] < 0.01


def test_the_nested_model_is_the_better_one_on_the_real_screen(real):
    evidence = {
        model: fit(real, model, draws=200)["sample_stats"]["log_evidence"].item()
        for model in ("m4", "m4_nested")
    }
    # lme4's log likelihoods are about 4,500 apart.
    assert 4_300 < evidence["m4_nested"] - evidence["m4"] < 4_700


@pytest.mark.parametrize("model", MODELS)
def test_the_contract_is_met_and_draws_repeat(model):
    design = design_from_rows(nested_rows(6, 7, 3, 2)[0])
    trees = [fit(design, model, draws=300, predictive_draws=50) for _ in range(2)]
    complete(trees[0], design, parameters(model, draws=300, predictive_draws=50))
    for name in trees[0]["posterior"].data_vars:
        np.testing.assert_array_equal(trees[0]["posterior"][name], trees[1]["posterior"][name])
    other = run_engine(design, parameters(model, draws=300).model_copy(update={"seed": 7}))
    assert not np.array_equal(other["posterior"]["beta_g"], trees[0]["posterior"]["beta_g"])


def test_chains_are_independent_batches(exact_simulated):
    posterior = exact_simulated["posterior"].dataset
    assert max(float(value.max()) for value in az.rhat(posterior).values()) < 1.005
    assert min(float(value.min()) for value in az.ess(posterior).values()) > 6_000
    first = posterior["sigma_alpha"].isel(chain=0).to_numpy()
    second = posterior["sigma_alpha"].isel(chain=1).to_numpy()
    assert not np.isin(first, second).any()


@pytest.mark.parametrize("model", MODELS)
def test_truth_is_recovered_from_a_nested_screen(model):
    rows, beta = nested_rows(60, 25, 3, 2)
    posterior = fit(design_from_rows(rows), model)["posterior"].dataset
    found = posterior["beta_g"]
    z = (found.mean(("chain", "draw")) - beta) / found.std(("chain", "draw"))
    if model == "m4_nested":
        assert 0.75 < float(z.std()) < 1.25
    else:  # repeated measurements taken for independent evidence
        assert float(z.std()) > 1.25


def scaled(factor: float) -> pd.DataFrame:
    """A screen whose noise alone is scaled."""
    rows = original_rows()
    fitted = rows.groupby(["gene", "cell_line"])["logfc"].transform("mean")
    return rows.assign(logfc=fitted + factor * (rows["logfc"] - fitted))


def some(**query: list[object]) -> pd.DataFrame:
    rows = original_rows()
    for column, value in query.items():
        rows = rows[rows[column].isin(value)]
    return rows


def missing() -> pd.DataFrame:
    rows = original_rows()
    return rows[np.random.default_rng(0).random(len(rows)) < 0.4]


def unbalanced() -> pd.DataFrame:
    rows = original_rows()
    return rows[(rows["gene"] != "geneA") | (rows["sgrna_idx"] == 0)]


AWKWARD = {
    "tiny noise": scaled(1e-4),
    "huge noise": original_rows().assign(
        logfc=lambda rows: np.random.default_rng(1).normal(0, 1e3, len(rows))
    ),
    "one gene": some(gene=["geneA"]),
    "one line": some(cell_line=["cellA"]),
    "one replicate": some(sgrna_idx=[0]),
    "cells missing": missing(),
    "unbalanced guides": unbalanced(),
    "large offset": original_rows().assign(logfc=lambda rows: rows["logfc"] + 30),
}


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_screens_are_fitted(name, model):
    tree = fit(design_from_rows(AWKWARD[name]), model, draws=500)
    statistics = tree["sample_stats"].dataset
    assert statistics["pareto_k"] < 0.7
    assert statistics["importance_efficiency"] > 0.1
    posterior = tree["posterior"].dataset
    assert all(np.isfinite(values).all() for values in posterior.values())
    assert max(float(value.max()) for value in az.rhat(posterior).values()) < 1.02


@pytest.mark.parametrize("noise", [1e-4, 1.0, 1e3])
def test_noise_of_any_size_is_found(noise):
    rows, _ = nested_rows(8, 10, 3, 3)
    random = np.random.default_rng(0)
    level = {gene: random.normal() for gene in rows["gene"].unique()}
    rows = rows.assign(logfc=rows["gene"].map(level) + random.normal(0, noise, len(rows)))
    priors = Priors.model_validate({"sigma": f"HalfNormal({10 * noise})"})
    wide = parameters().model_copy(update={"priors": priors})
    sigma = run_engine(design_from_rows(rows), wide)["posterior"]["sigma"]
    assert float(sigma.mean()) == pytest.approx(noise, rel=0.08)


def test_auto_is_exact_and_falls_back_to_nuts(simulated, monkeypatch):
    settings = FitParameters(sampling=Sampling(draws=100, tune=100))
    assert settings.engine == "auto"
    assert run_engine(simulated, settings).attrs["engine"] == "exact"
    strict = settings.model_copy(
        update={"thresholds": settings.thresholds.model_copy(update={"pareto_k_max": -5.0})}
    )
    assert run_engine(simulated, strict).attrs["engine"] == "nuts"
    asked = strict.model_copy(update={"engine": "exact"})
    assert run_engine(simulated, asked).attrs["engine"] == "exact"


def test_progress_ends_at_the_end_and_never_goes_back(simulated):
    told: list[tuple[int, int]] = []
    run_engine(simulated, parameters(), lambda done, total: told.append((done, total)))
    done = [percent for percent, _ in told]
    assert done == sorted(done)
    assert told[-1] == (100, 100)
    assert len(told) > 3

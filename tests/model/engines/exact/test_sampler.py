"""The exact engine: its steps, its draws against the dense normal and lme4."""

from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.special import logsumexp

from model.engines.exact.sampler import sample
from model.engines.run import NoIntegral, run_engine
from model.screen.preparation import prepare
from schemas.dataset import Dataset
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from tasks.reading.validate import validate
from tests.designs import design_from_rows, nested_rows, original_rows
from tests.model.engines.exact.dense import dense
from tests.model.engines.exact.pieces import MODELS, PRIORS, random_rows

ROWS = random_rows(1)  # three genes, four lines
DESIGN = design_from_rows(ROWS)


def parameters_of(model: ModelName, draws: int = 64, chains: int = 2, **of: Any) -> FitParameters:
    sampling = Sampling(draws=draws, chains=chains)
    return FitParameters(model=model, engine="exact", sampling=sampling, **{"priors": PRIORS} | of)


def test_evidence_is_the_likelihood_averaged_over_the_prior():
    """Against plain draws of the SDs from their exponential priors, and its error against seeds."""
    random, parameters = np.random.default_rng(1), parameters_of("m4_zero_mean", 256, 4)
    sds = MODEL_SPECS["m4_zero_mean"].sds
    drawn = (dict(zip(sds, random.exponential(size=len(sds)), strict=True)) for _ in range(4000))
    found = [dense("m4_zero_mean", ROWS, DESIGN, PRIORS, sd).log_likelihood for sd in drawn]
    averaged = logsumexp(found) - np.log(4000)
    fits = [sample(DESIGN, parameters, seed)["sample_stats"].dataset for seed in range(8)]
    evidence, mcse = ([float(one[f"log_evidence{of}"]) for one in fits] for of in ("", "_mcse"))
    np.testing.assert_allclose(evidence, averaged, atol=0.1)
    assert 0.4 < np.std(evidence) / np.mean(mcse) < 2.5


# ---- draws


@pytest.fixture(scope="module", params=MODELS)
def fitted(request) -> tuple[ModelName, xr.DataTree, list[tuple[int, int]]]:
    """A fit of the small screen, and the progress it reported.

    As a large screen, it is computed in blocks of genes, and in batches of points by threads.
    """
    reports: list[tuple[int, int]] = []
    limits = {"blocks.BLOCK_SIZE": 1, "collapse.AT_ONCE": 999, "collapse.DRAWS_AT_ONCE": 100}
    limits |= {"density.SUMS_AT_ONCE": 3000, "marginal.SOME_POINTS": 50, "marginal.AT_ONCE": 1}
    limits |= {"search.HALF_WIDTH": 2, "density.LARGE_MATRIX": 1, "marginal.LARGE_MATRIX": 1}
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in limits.items():
            patch.setattr(f"model.engines.exact.{name}", limit)
        tree = sample(DESIGN, parameters_of(request.param, 256), 5, lambda *of: reports.append(of))
    return request.param, tree, reports


def test_draws_follow_the_dense_normal_given_their_standard_deviations(fitted):
    model, tree, _ = fitted
    draws = {name: values.to_numpy().reshape(512, -1) for name, values in tree["posterior"].items()}
    log_density = tree["sample_stats"]["log_density"].to_numpy().ravel()
    z = []
    for at in range(0, 512, 2):
        sd = {name: float(draws[name][at, 0]) for name in draws if name.startswith("sigma")}
        naive = dense(model, ROWS, DESIGN, PRIORS, sd)
        away = np.concatenate([draws[name][at] - mean for name, mean in naive.mean.items()])
        z.append(np.linalg.solve(np.linalg.cholesky(naive.covariance), away))
        # Every prior is an exponential one of rate 1; theta is the log of the SDs.
        expected = naive.log_likelihood - sum(sd.values()) + sum(map(np.log, sd.values()))
        assert log_density[at] == pytest.approx(expected, abs=0.05)
    assert stats.kstest(np.ravel(z), "norm").pvalue > 0.01
    # Standard normal and independent: of each other, of the other chain, of the draw before.
    assert np.abs(np.mean(z, axis=0)).max() < 4 / np.sqrt(256)
    np.testing.assert_allclose(np.cov(np.transpose(z)), np.eye(len(z[0])), atol=0.4)
    for one, other in ((z[:128], z[128:]), (z[1:], z[:-1])):
        assert abs(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]) < 4 / np.sqrt(np.size(one))


def test_the_tree_has_the_variables_labels_and_statistics_of_the_contract(fitted):
    model, tree, reports = fitted
    posterior, statistics = tree["posterior"].dataset, tree["sample_stats"].dataset
    variables = MODEL_SPECS[model].variables
    assert {name: (value.dims[2:], value.dtype) for name, value in posterior.items()} == {
        name: (dims, np.float64) for name, dims in variables.items()
    }
    used = {dim: list(DESIGN.labels[dim]) for dims in variables.values() for dim in dims}
    labels = {"chain": [0, 1], "draw": list(range(256)), **used}
    assert {name: value.to_numpy().tolist() for name, value in posterior.coords.items()} == labels
    assert statistics["log_density"].dims == ("chain", "draw")
    assert reports == sorted(set(reports)) and reports[-1] == (100, 100)


def test_an_equal_seed_gives_equal_draws():
    parameters = parameters_of("m4")
    one, same, other = (sample(DESIGN, parameters, of)["posterior"].dataset for of in (5, 5, 6))
    assert one.identical(same)
    assert not any(np.isin(values, other[name]).any() for name, values in one.items())


# ---- known results


@pytest.fixture(scope="module")
def real_fits(avana: Dataset) -> dict[str, xr.DataTree]:
    valid = validate(avana, FitParameters())
    assert valid.screen is not None and valid.statistics is not None
    design, _ = prepare(valid.screen, valid.statistics, FitParameters(), avana.rna_units)
    return {
        model: run_engine(design, parameters_of(model, 500, 4, priors=Priors()))
        for model in ("m4", "m4_nested")
    }


GROUPS = {"sigma_alpha": "Gene", "sigma_gamma": "ModelID", "sigma": "Residual"}
NESTED = {
    "sigma_alpha": "Gene.1",
    "sigma_guide": "sgRNA",
    "sigma_gene_line": "Gene.ModelID",
    "sigma_guide_line": "sgRNA.ModelID",
}
"""What lme4 calls each standard deviation; what it calls otherwise or also has in m4_nested."""


@pytest.mark.parametrize(("model", "groups"), [("m4", GROUPS), ("m4_nested", GROUPS | NESTED)])
def test_lme4_agrees_on_the_real_screen(model, groups, real_fits, shared: Path):
    posterior, statistics = (real_fits[model][of].dataset for of in ("posterior", "sample_stats"))
    table = pd.read_csv(shared / "reference" / "avana_lme4_sd.csv").query("model == @model")
    by_group = table[table["term"] != "rna"].set_index("group")["sd"]
    beta = pd.read_csv(shared / "reference" / "avana_lme4_beta.csv", index_col="gene")
    estimates = {
        "sigma_beta": table[table["term"] == "rna"]["sd"].item(),
        **{name: by_group[group] for name, group in groups.items()},
        "beta_g": beta[f"beta_{model}"].reindex(posterior["gene"].to_numpy()).to_numpy(),
    }
    for name, estimate in estimates.items():
        mean, sd = posterior[name].mean(("chain", "draw")), posterior[name].std(("chain", "draw"))
        assert float(np.abs((mean - estimate) / sd).max(skipna=False)) < 1, name
    assert statistics["pareto_k"] < 0.5
    assert statistics["importance_efficiency"] > 0.8
    assert statistics["interpolation_error"] < 0.01


def test_the_nested_model_is_the_better_one_on_the_real_screen(real_fits):
    plain, nested = (real_fits[model]["sample_stats"]["log_evidence"].item() for model in real_fits)
    # The log likelihoods of lme4 are about 4,500 apart.
    assert 4_300 < nested - plain < 4_700


# ---- awkward screens


def awkward() -> dict[str, pd.DataFrame]:
    rows, random = original_rows(), np.random.default_rng(0)
    fitted = rows.groupby(["gene", "cell_line"])["logfc"].transform("mean")
    return {
        "tiny noise": rows.assign(logfc=fitted + 1e-4 * (rows["logfc"] - fitted)),
        "huge noise": rows.assign(logfc=random.normal(0, 1e3, len(rows))),
        "one gene": rows[rows["gene"] == "geneA"],
        "one line": rows[rows["cell_line"] == "cellA"],
        "one replicate": rows[rows["sgrna_idx"] == 0],
        "missing cells": rows[random.random(len(rows)) < 0.4],
        "unbalanced guides": rows[(rows["gene"] != "geneA") | (rows["sgrna_idx"] == 0)],
        "large offset": rows.assign(logfc=rows["logfc"] + 30),
    }


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean"])
@pytest.mark.parametrize("name", awkward())
def test_awkward_screens_are_fitted(name, model):
    parameters = parameters_of(model, 500, 4, priors=Priors())
    tree = run_engine(design_from_rows(awkward()[name]), parameters)
    statistics = tree["sample_stats"].dataset
    assert statistics["pareto_k"] < 0.7
    assert statistics["importance_efficiency"] > 0.1
    posterior = tree["posterior"].dataset
    assert all(np.isfinite(values).all() for values in posterior.values())
    assert max(float(value.max()) for value in az.rhat(posterior).values()) < 1.02


def test_a_screen_without_any_spread_is_refused():
    rows = nested_rows(4, 6, 2, 2)[0].assign(logfc=0.0)
    with pytest.raises(NoIntegral, match=r"got none: .*zero.*; use --engine nuts"):
        run_engine(design_from_rows(rows), FitParameters(model="m4", engine="exact"))

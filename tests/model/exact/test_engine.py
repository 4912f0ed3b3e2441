"""The exact engine: its steps, its draws against the dense normal, published numbers and lme4."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from deployments.demo import comparison
from model.engines import NoIntegral, run_engine
from model.exact import engine as module
from model.exact.density import Points
from model.exact.engine import Weighted, sample
from model.exact.proposal import Proposal, Weights
from model.preparation import prepare
from model.summary import parameter_summary
from schemas.dataset import Dataset
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from schemas.posterior import CONTRACTS
from tasks.validate import validate
from tests.designs import design_from_rows, nested_rows, original_rows
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, PRIORS, random_rows

ROWS = random_rows(1)  # three genes, four lines
DESIGN = design_from_rows(ROWS)


def parameters_of(model: ModelName, draws: int = 64, chains: int = 2, **of: Any) -> FitParameters:
    sampling = Sampling(draws=draws, chains=chains)
    return FitParameters(model=model, engine="exact", sampling=sampling, **{"priors": PRIORS} | of)


# ---- steps


@pytest.mark.parametrize(
    ("efficiencies", "best"),
    [
        ([0.81], 0),  # good enough: no second round
        ([0.79, 0.85], 1),
        ([0.2, 0.5, 0.3], 1),
        ([0.5, 0.5, 0.5], 0),  # the first of equals
        ([np.nan], 0),  # without any weight there is nothing to refit to
    ],
)
def test_the_pilot_takes_the_best_of_few_proposals(efficiencies, best, monkeypatch):
    proposals = [Proposal(np.full(2, at), (1 + at) * np.eye(2), 7.0) for at in range(4)]
    left, asked, refits = iter(efficiencies), [], []

    def density(theta):
        asked.append(theta)
        return Points(proposals[len(asked) - 1].log_density(theta) + 3, np.zeros((0, 0)))

    def weighed(log_ratio):
        np.testing.assert_allclose(log_ratio, np.full(512, 3))
        return Weights(log_ratio, 0.1, next(left))

    def refit(proposal, points, log_ratio, df):
        refits.append((proposal, points, df))
        return proposals[len(refits)]

    monkeypatch.setattr(module, "weigh", weighed)
    monkeypatch.setattr(module, "refitted", refit)
    located: Any = SimpleNamespace(density=density, proposal=proposals[0])
    assert module._piloted(located, np.random.SeedSequence(3)) is proposals[best]
    assert next(left, None) is None and len(asked) == len(efficiencies)
    for proposal, given, points in zip(proposals, refits, asked, strict=False):
        assert given[0] is proposal and given[1] is points and given[2] == 7


@pytest.mark.parametrize(
    ("draws", "efficiency", "n_points"),
    [
        (50, 0.40, 64),  # 25.6 of 64 points count: half of 50 draws at least
        (50, 0.38, 256),  # 24.3 are too few, 97 are not
        (64, 0.001, 1024),  # no more than 16 times as many
        (128, np.nan, 128),  # no weight at all: more points would have none either
    ],
)
def test_more_points_are_weighed_where_few_of_them_count(draws, efficiency, n_points, monkeypatch):
    overall = SimpleNamespace(efficiency=efficiency)
    monkeypatch.setattr(
        module, "_weigh_chains", lambda *of: SimpleNamespace(given=of, overall=overall)
    )
    some: Any = object()  # handed on as it is
    found: Any = module._weighted(some, some, parameters_of("m4", draws, 3), some)
    assert found.given == (some, some, 3, n_points, some)


def test_evidence_is_the_mean_weight_and_its_error_that_between_chains():
    weights = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 8.0], [1.0, 1.0, 1.0, 1.0]])
    theta, overall = np.zeros((3, 4, 2)), Weights(np.zeros(12), 0.3, 0.7)
    weighted = Weighted(theta, weights, np.log(weights) - 2000, theta, overall)
    given = []
    located: Any = SimpleNamespace(
        screen=SimpleNamespace(n_passes=17), error_at=lambda *of: given.append(of) or 0.02
    )
    relative = 3 / 7 * np.array([2.5, 3.5, 1.0])  # the mean of the chains is 7 / 3
    assert module._quality(located, weighted, np.arange(71)) == {
        "pareto_k": 0.3,
        "importance_efficiency": 0.7,
        "n_points": 12.0,
        "log_evidence": pytest.approx(np.log(7 / 3) - 2000, abs=1e-9),
        "log_evidence_mcse": pytest.approx(np.std(relative, ddof=1) / np.sqrt(3), rel=1e-9),
        "interpolation_error": 0.02,
        "n_passes": 17.0,
    }
    ((fresh, points),) = given  # eight draws taken evenly, and all weighted points
    assert fresh.tolist() == list(range(0, 71, 10)) and points.shape == (12, 2)


@pytest.mark.parametrize(("above", "n_rounds"), [(0.0, 1), (-5.0, 4)])
def test_points_are_weighed_anew_while_their_tail_is_too_heavy(above, n_rounds, monkeypatch):
    seeds, found, weighted, drawn = [], [], module._weighted, module._drawn

    def record(*given: Any) -> Any:
        seeds.append(given[3].spawn_key)
        found.append(weighted(*given))
        return found[-1]

    parameters = parameters_of("m4")
    monkeypatch.setattr(module, "_weighted", record)
    monkeypatch.setattr(module, "_drawn", lambda *of: of[3] is found[-1] and drawn(*of))
    sample(DESIGN, parameters, 9)
    limits = {"pareto_k_max": found.pop().overall.pareto_k + above}
    thresholds = parameters.thresholds.model_copy(update=limits)
    sample(DESIGN, parameters.model_copy(update={"thresholds": thresholds}), 9)
    assert len(found) == n_rounds and len(set(seeds[1:])) == n_rounds
    assert len({one.theta[0, 0, 0] for one in found}) == n_rounds


# ---- draws


@pytest.fixture(scope="module", params=MODELS)
def fitted(request) -> tuple[ModelName, xr.DataTree, list[tuple[int, int]]]:
    """A fit of the small screen in several blocks, and the progress it reported."""
    reports: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.exact.blocks.BLOCK_SIZE", 1)
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
    variables = CONTRACTS[model].variables
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


def test_the_published_table_is_reproduced():
    tree = run_engine(
        design_from_rows(original_rows()), parameters_of("m4", 2000, 4, priors=Priors())
    )
    table = comparison(parameter_summary(tree))
    assert len(table) == 36  # sigma is not in the published table
    assert table["difference_in_mcse"].abs().max() < 4
    assert (table["sd"] / table["published_sd"]).sub(1).abs().max() < 0.05
    posterior = tree["posterior"].dataset
    assert max(float(value.max()) for value in az.rhat(posterior).values()) < 1.005
    assert min(float(value.min()) for value in az.ess(posterior).values()) > 6_000


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
    tree = run_engine(
        design_from_rows(awkward()[name]), parameters_of(model, 500, 4, priors=Priors())
    )
    statistics = tree["sample_stats"].dataset
    assert statistics["pareto_k"] < 0.7
    assert statistics["importance_efficiency"] > 0.1
    posterior = tree["posterior"].dataset
    assert all(np.isfinite(values).all() for values in posterior.values())
    assert max(float(value.max()) for value in az.rhat(posterior).values()) < 1.02


def test_a_screen_without_any_spread_is_refused():
    rows = nested_rows(4, 6, 2, 2)[0].assign(logfc=0.0)
    with pytest.raises(NoIntegral, match="take --engine nuts"):
        run_engine(design_from_rows(rows), FitParameters(engine="exact"))

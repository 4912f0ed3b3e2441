"""Which engine is used and what it is given, and what completes its result."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.engines.exact.proposal import NotIntegrable
from model.engines.memory import Sizes, choose_draws, fit_bytes
from model.engines.run import (
    NoIntegral,
    add_predictive_groups,
    describe_cost,
    needed_bytes,
    run_engine,
    seeds,
)
from model.fit import describe_analysis_cost
from model.prediction.loo import log_likelihood_group
from model.prediction.predictive import data_groups, draw_prior, thin
from model.prediction.replicates import replicate_screens
from model.runtime.executors import LocalExecutor
from model.screen.identifiability import NotIdentified
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters, Priors, Sampling
from tests.designs import design_from_rows, nested_rows
from tests.model.diagnostics.test_convergence import INTEGRATED

ROWS = nested_rows(n_genes=3, n_lines=4, n_guides=2, n_replicates=2)[0]
DESIGN = design_from_rows(ROWS)
SEEDS = np.random.SeedSequence(6).generate_state(5).tolist()
SETTINGS = FitParameters(
    seed=6,
    model="m4_zero_mean",
    priors=Priors.model_validate({"mu_alpha": "Normal(7, 0.1)"}),
    sampling=Sampling(draws=2000, predictive_draws=50, log_likelihood=True),
)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand for both engines: what they were given, and the diagnostics of the exact one."""
    both = SimpleNamespace(given={}, diagnostics=INTEGRATED, made={})

    def engine(name: str, *given: Any) -> xr.DataTree:
        both.given[name] = given
        if name == "exact" and isinstance(both.diagnostics, str):
            raise NotIntegrable(both.diagnostics)
        statistics = xr.Dataset(both.diagnostics if name == "exact" else {})
        both.made[name] = xr.DataTree.from_dict({"sample_stats": statistics})
        return both.made[name]

    for name in ("exact", "nuts"):
        monkeypatch.setattr(f"model.engines.{name}.sampler.sample", partial(engine, name))
    monkeypatch.setattr("model.engines.nuts.plain.build_model", lambda *given: ("model of", *given))
    return both


BAD = INTEGRATED | {"pareto_k": 0.9, "interpolation_error": 0.2, "log_evidence": np.nan}


@pytest.mark.parametrize(
    ("engine", "diagnostics", "ran", "reasons"),
    [
        ("auto", INTEGRATED, "exact", []),
        ("exact", INTEGRATED, "exact", []),
        ("exact", BAD, "exact", []),
        ("nuts", INTEGRATED, "nuts", []),
        # Of the interpolation error a review is due, but no other engine.
        ("auto", BAD, "nuts", ["Pareto k", "engine nuts; ", "log evidence is nan"]),
        ("auto", INTEGRATED | {"pareto_k": 0.61}, "nuts", ["Pareto k", "0.6"]),
        ("auto", "no mode was found", "nuts", ["no mode was found"]),
    ],
)
def test_the_exact_engine_runs_unless_its_result_fails(engine, diagnostics, ran, reasons, engines):
    engines.diagnostics = diagnostics
    workers = LocalExecutor()
    thresholds = SETTINGS.thresholds.model_copy(update={"pareto_k_max": 0.6})
    parameters = SETTINGS.model_copy(update={"engine": engine, "thresholds": thresholds})
    tree = run_engine(DESIGN, parameters, print, workers)
    assert tree is engines.made[ran]
    fell_back = tree.attrs.pop("fell_back", "")
    assert tree.attrs == {"engine": ran}
    assert bool(fell_back) == bool(reasons) and all(reason in fell_back for reason in reasons)
    given = {"exact": (DESIGN, parameters, SEEDS[0], print, workers)} if engine != "nuts" else {}
    if ran == "nuts":
        of_model = ("model of", "m4_zero_mean", DESIGN, SETTINGS.priors)
        variables = MODEL_SPECS["m4_zero_mean"].variables
        given["nuts"] = (of_model, variables, SETTINGS.sampling, SEEDS[0], print)
    assert engines.given == given


def test_a_model_that_no_other_engine_takes_is_sampled_by_nuts(engines, monkeypatch):
    """Guides of a gene differ, gene-line pairs do not."""
    nested = MODEL_SPECS["m4_nested"]
    monkeypatch.setitem(MODEL_SPECS, "m4", replace(nested, gene_line_sd="", guide_line_sd=""))
    parameters = FitParameters(model="m4")
    assert run_engine(DESIGN, parameters) is engines.made["nuts"]
    assert [*engines.given] == ["nuts"]
    assert describe_analysis_cost(DESIGN, parameters).endswith(" s for checks")
    with pytest.raises(NoIntegral, match=r"only some of the effects.*--engine nuts"):
        run_engine(DESIGN, parameters.model_copy(update={"engine": "exact"}))


def test_a_screen_that_cannot_be_fitted_is_refused(engines):
    once = design_from_rows(ROWS.drop_duplicates(["guide", "cell_line"]))
    with pytest.raises(NotIdentified, match="m4_nested cannot"):
        run_engine(once, FitParameters(model="m4_nested"))
    assert engines.given == {}
    assert run_engine(once, FitParameters(model="m4", engine="nuts")) is engines.made["nuts"]


# ---- complete


def drawn(parameters: FitParameters, design=DESIGN, **attributes: str) -> xr.DataTree:
    """What an engine returns: 80 draws, here of the prior, in two chains."""
    chains = [draw_prior(parameters.model, design, Priors(), 40, seed) for seed in (1, 2)]
    posterior = xr.concat(chains, "chain").assign_coords(chain=[0, 1])
    statistics = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((2, 40), bool))})
    tree = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})
    tree.attrs = attributes
    return tree


@pytest.mark.parametrize(
    ("log_likelihood", "known"),
    [(False, {}), (True, {"engine": "exact", "fell_back": "", "imported_from": "x"})],
)
def test_a_result_is_completed_with_seeds_of_its_own(log_likelihood, known):
    sampling = SETTINGS.sampling.model_copy(update={"log_likelihood": log_likelihood})
    parameters = SETTINGS.model_copy(update={"sampling": sampling})
    tree = drawn(parameters, other="1", **known)
    full, quantities = add_predictive_groups(tree, DESIGN, parameters)
    posterior = tree["posterior"].to_dataset()
    prior = draw_prior("m4_zero_mean", DESIGN, parameters.priors, 50, SEEDS[1])
    kept = thin(posterior, 50)
    assert kept.sizes["draw"] == 25
    of_prior = replicate_screens(prior, DESIGN, "prior", SEEDS[2])
    of_posterior = replicate_screens(kept, DESIGN, "posterior", SEEDS[3])
    both = pd.concat([of_posterior.quantities, of_prior.quantities], ignore_index=True)
    pd.testing.assert_frame_equal(quantities, both)
    expected = {
        "posterior": posterior,
        "sample_stats": tree["sample_stats"].to_dataset(),
        "prior": prior,
        "prior_predictive": of_prior.cells,
        "posterior_predictive": of_posterior.cells,
        **data_groups(DESIGN),
    }
    if log_likelihood:
        expected["log_likelihood"] = log_likelihood_group(kept, DESIGN)
    assert set(full.children) == set(expected)
    for name, group in expected.items():
        xr.testing.assert_equal(full[name].to_dataset(), group)
    assert full.attrs == {"model": "m4_zero_mean", "seed": 6, **known}
    assert seeds(6) == SEEDS and all(type(one) is int for one in seeds(6))
    with pytest.raises(ValueError, match="posterior contract"):
        add_predictive_groups(tree, DESIGN, FitParameters(model="m4"))


@pytest.mark.parametrize(("seconds", "words"), [(99.9, "100 s"), (100.0, "2 min")])
def test_the_cost_names_sizes_times_and_memory(seconds, words, monkeypatch):
    parameters = FitParameters(model="m4", sampling=Sampling(draws=50_000, chains=4, tune=3000))
    design = design_from_rows(ROWS[(ROWS.gene != "g001") | (ROWS.cell_line != "c002")])
    monkeypatch.setattr("model.engines.run.expected_seconds", lambda *_: seconds)
    monkeypatch.setattr("model.fit.leaving_out_seconds", lambda *_: 480.0)
    monkeypatch.setattr("model.fit.n_threads", lambda: 1)
    # 7 hyperparameters, 3 + 3 effects of genes, 4 of lines; 17 numbers of 8 bytes, 200,000 draws.
    cost = describe_cost(design, parameters)
    sizes = "17 parameters, 11 gene-line pairs, 4 x 50,000 draws"
    assert cost.startswith(f"{sizes}, about {words}, a posterior of 27 MB, about ")
    assert cost.endswith(" more memory")
    # A second for the summary of 17 x 200,000 numbers.
    after = describe_analysis_cost(design, parameters)
    assert after == "about 9 min for checks and for leaving out cell lines and lineages"
    by_nuts = describe_cost(design, parameters.model_copy(update={"engine": "nuts"}))
    assert "4 chains of 3,000 + 50,000 steps, a posterior of 27 MB, about" in by_nuts


@pytest.mark.parametrize(
    ("model", "engine", "first"),
    [("m4", "auto", "exact"), ("m4", "nuts", "nuts"), ("m4_screen", "auto", "gibbs")],
)
def test_the_memory_is_that_of_the_engine_that_starts(model, engine, first):
    parameters = FitParameters(model=model, engine=engine)
    sizes = Sizes(genes=3, cell_lines=4, guides=6)
    expected = fit_bytes(sizes, choose_draws(parameters, sizes, first), first)
    assert needed_bytes(DESIGN, parameters) == expected

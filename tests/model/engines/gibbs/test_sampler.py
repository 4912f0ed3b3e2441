"""The Gibbs engine against the exact one, and on a screen with few effects."""

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.diagnostics.convergence import assess_convergence
from model.diagnostics.summary import parameter_summary, summary_of
from model.effects.gene_effects import gene_effects
from model.engines.gibbs.sampler import sample_model
from model.engines.memory import MOST_DRAWS
from model.engines.nuts.screen import screen_model
from model.engines.nuts.sparse_slopes import sampled_variables
from model.engines.run import NoIntegral, add_predictive_groups, describe_cost, run_engine
from model.prediction.loo import cell_log_likelihood
from model.runtime.executors import n_threads, threaded_map
from model.simulation.calibration import one_simulation, simulate_screen
from schemas.calibration import CalibrationSettings
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters, Priors, Sampling, Thresholds
from tests.designs import design_from_rows, nested_rows

SCREEN = MODEL_SPECS["m4_screen"]
NESTED = design_from_rows(nested_rows(12, 8, 3, 2)[0])
PRIORS = Priors.model_validate(
    {"mu_alpha": "Normal(-0.3, 0.4)", "mu_gamma": "Normal(0.2, 0.3)"}
    | dict.fromkeys(SCREEN.sds, "HalfNormal(0.4)")
)
FEW = Sampling(draws=200, chains=2, predictive_draws=50)


def summary(model, engine, **of):
    sampling = Sampling(draws=1500, chains=4)
    fit = run_engine(NESTED, FitParameters(model=model, engine=engine, sampling=sampling, **of))
    assert fit.attrs["engine"] == engine
    return parameter_summary(fit).set_index("parameter")


def test_it_agrees_with_the_exact_engine():
    exact, gibbs = summary("m4_nested", "exact"), summary("m4_nested", "gibbs")
    assert gibbs.r_hat.max() < 1.02
    error = np.hypot(exact.mcse_mean, gibbs.mcse_mean)
    assert ((gibbs["mean"] - exact["mean"]).abs() / error).max() < 5
    assert np.log(gibbs.sd / exact.sd).abs().max() < 0.2


@pytest.fixture(scope="module")
def sparse():
    """A screen of m4_screen itself with copy number, 40 genes in 12 lines, and its fit."""
    sizes = {"genes": 40, "cell_lines": 12, "copy_number": True}
    settings = CalibrationSettings(model="m4_screen", priors=PRIORS, **sizes)
    screen = simulate_screen(settings, np.random.SeedSequence(1))
    parameters = FitParameters(model="m4_screen", sampling=FEW, priors=PRIORS)
    drawn = run_engine(screen.design, parameters)
    tree, _ = add_predictive_groups(drawn, screen.design, parameters)
    return screen, tree


def test_a_screen_of_its_own_model_is_recovered(sparse):
    screen, tree = sparse
    posterior = tree["posterior"].dataset
    for name in ("alpha_g", "beta_g", "gamma_c", "s_c", "f_c", "omega_g", "kappa_g"):
        draws = posterior[name].to_numpy().reshape(400, -1)
        z = (draws.mean(axis=0) - screen.truth[name]) / np.maximum(draws.std(axis=0), 0.02)
        assert np.sqrt((z**2).mean()) < 1.6, name
    np.testing.assert_allclose(np.log(posterior["s_c"]).sum("cell_line"), 0, atol=1e-9)
    np.testing.assert_allclose(posterior["pi"].sum("component"), 1)
    assert posterior["component"].to_numpy().tolist()[:3] == ["0", "-0.05", "-0.1"]


def test_what_follows_a_fit_knows_the_model(sparse):
    screen, tree = sparse
    effects = gene_effects(tree, screen.design)
    null = effects[effects.beta_mean.abs() < 1e-3]
    assert (null.prob_nonzero < 0.5).all() and (null.lfsr > 0.5).all()
    assert effects.loc[effects.lfsr < 0.05, "prob_nonzero"].min() > 0.95
    convergence = assess_convergence(tree, parameter_summary(tree))
    assert 0.5 < convergence.gibbs.accepted_lines < 1 and np.isfinite(convergence.rhat_max)
    pairs = cell_log_likelihood(tree["posterior"].dataset, screen.design)
    assert pairs.shape == (400, 480) and np.isfinite(pairs).all()


def test_chains_find_their_way_on_a_screen_far_from_their_start():
    """One pair spread of 300: unbounded Newton steps led to scales of exp(194)."""
    result = one_simulation(CalibrationSettings(model="m4_screen", simulations=2000), 1274)
    assert result.engine == "gibbs"


def test_a_screen_that_cannot_be_sampled_is_refused(monkeypatch):
    def diverges(*_: object) -> None:
        raise np.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr("model.engines.gibbs.sampler.sample_model", diverges)
    with pytest.raises(NoIntegral, match="not positive definite; look for values far from"):
        run_engine(NESTED, FitParameters(sampling=FEW))


def test_equal_seeds_give_equal_draws_however_often_the_chains_continue():
    once, half, other = (
        sample_model(
            *(SCREEN, NESTED, Priors(), FEW.model_copy(update={"draws": draws}), seed),
            needs_more=lambda tree, enough=enough: tree["posterior"].sizes["draw"] < enough,
        )
        for draws, seed, enough in ((200, 1, 0), (50, 1, 200), (200, 2, 0))
    )
    assert once.identical(half)
    assert not np.array_equal(once["posterior"]["beta_g"], other["posterior"]["beta_g"])


@pytest.mark.parametrize("fully_judged", [0, 10**9])
def test_chains_of_chosen_length_continue_until_they_have_converged(fully_judged, monkeypatch):
    monkeypatch.setattr("model.engines.run.FULLY_JUDGED", fully_judged)
    monkeypatch.setitem(MOST_DRAWS, "gibbs", 50)
    parameters = FitParameters(sampling=Sampling(chains=2, predictive_draws=50))
    assert "(more if they have not converged)" in describe_cost(NESTED, parameters)
    tree = run_engine(NESTED, parameters)
    assert tree["posterior"].sizes["draw"] > 200
    sooner = parameters.model_copy(update={"thresholds": Thresholds(rhat_max=1.2, ess_min=20)})
    tree = run_engine(NESTED, sooner)
    assert ("summary" in tree.children) == (fully_judged > 0)
    alone = xr.DataTree.from_dict({"posterior": tree["posterior"].dataset})
    for some in (None, ("sigma", "beta_g")):
        pd.testing.assert_frame_equal(summary_of(tree, some), summary_of(alone, some))
    monkeypatch.setattr("model.engines.memory.LONGEST_CHAIN", 100)
    assert run_engine(NESTED, parameters)["posterior"].sizes["draw"] == 100


@pytest.mark.parametrize("part", ["line_scale", "line_noise", "pair_spread", "mixture"])
def test_each_part_of_the_model_is_a_switch_of_both_engines(part):
    spec = replace(SCREEN, **{part: None})
    if part == "mixture":
        spec = replace(spec, effects=MODEL_SPECS["m4_nested"].effects)
    draws = sample_model(spec, NESTED, Priors(), FEW, 1)["posterior"].dataset
    assert set(draws.data_vars) == set(spec.variables)
    assert all(np.isfinite(draws[name]).all() for name in draws)
    by_nuts = screen_model(spec, NESTED, Priors())
    assert set(sampled_variables(spec)) < set(by_nuts.named_vars)
    assert np.isfinite(list(by_nuts.point_logps().values())).all()


@pytest.mark.parametrize(
    ("model", "engine", "words"),
    [
        ("m4", "gibbs", "lacks effects of guides.*--engine exact or nuts"),
        ("m4_screen", "exact", "mixture prior; use --engine gibbs or nuts"),
    ],
)
def test_an_engine_refuses_a_model_it_does_not_know(model, engine, words):
    with pytest.raises(NoIntegral, match=words):
        run_engine(NESTED, FitParameters(model=model, engine=engine))


def test_no_chain_goes_on_when_one_is_interrupted():
    calls = []

    def interrupt(*_):
        calls.append(None)
        if len(calls) == 1:
            raise KeyboardInterrupt

    sampling = Sampling(draws=3000, chains=4)  # progress is reported 630 times
    with pytest.raises(KeyboardInterrupt):
        sample_model(MODEL_SPECS["m4_nested"], NESTED, PRIORS, sampling, 1, interrupt)
    at_rest = threading.Barrier(n_threads())
    list(threaded_map(lambda _: at_rest.wait(), range(n_threads())))
    assert len(calls) < 100

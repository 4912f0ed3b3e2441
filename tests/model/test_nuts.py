"""The NUTS engine: the contract, determinism, and three samplers that agree."""

from __future__ import annotations

import numpy as np
import pytest

from model.engines import complete, run_engine
from schemas.parameters import FitParameters, Sampling
from schemas.posterior import CONTRACTS
from tests.designs import design_from_rows, original_rows


@pytest.fixture(scope="module")
def design():
    return design_from_rows(original_rows())


def short(sampler="nutpie", model="m4_zero_mean", seed=1) -> FitParameters:
    sampling = Sampling(sampler=sampler, draws=500, tune=500, chains=2, predictive_draws=50)
    return FitParameters(model=model, engine="nuts", seed=seed, sampling=sampling)


@pytest.fixture(scope="module")
def by_nutpie(design):
    return run_engine(design, short())


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean"])
def test_result_holds_the_contract(design, model):
    parameters = short(model=model)
    tree = complete(run_engine(design, parameters), design, parameters)
    CONTRACTS[model].check(tree)  # complete() has checked; a stranger's eye all the same
    assert tree["posterior"]["beta_g"].shape == (2, 500, 5)
    assert tuple(tree["posterior"]["gene"].to_numpy()) == design.genes
    assert tree["posterior_predictive"]["cell_mean"].shape == (2, 25, 100)
    assert tree["sample_stats"]["diverging"].dtype == bool


def test_the_result_names_the_engine_that_ran(design, by_nutpie):
    """`auto` is what was asked for, not what ran."""
    ran = by_nutpie.copy()
    ran.attrs["engine"] = "nuts"
    tree = complete(ran, design, short().model_copy(update={"engine": "auto"}))
    assert tree.attrs["engine"] == "nuts"


def test_same_seed_same_draws(design, by_nutpie):
    again = run_engine(design, short())
    assert again["posterior"].dataset.identical(by_nutpie["posterior"].dataset)


def test_another_seed_other_draws(design, by_nutpie):
    other = run_engine(design, short(seed=2))
    assert not np.array_equal(other["posterior"]["mu_beta"], by_nutpie["posterior"]["mu_beta"])


def test_progress_ends_at_the_total(design):
    seen = []
    run_engine(design, short(), lambda *progress: seen.append(progress))
    assert seen[-1] == (2000, 2000)


@pytest.mark.parametrize("sampler", ["pymc", "numpyro"])
def test_samplers_agree(design, by_nutpie, sampler):
    other = run_engine(design, short(sampler))["posterior"].dataset
    ours = by_nutpie["posterior"].dataset
    sd = ours["beta_g"].std(("chain", "draw"))
    difference = other["beta_g"].mean(("chain", "draw")) - ours["beta_g"].mean(("chain", "draw"))
    # About 1,000 independent draws each: the difference has an SD of 0.045 posterior SDs.
    assert float(abs(difference / sd).max()) < 0.25


def test_what_an_interrupt_left_is_no_posterior(design, by_nutpie, monkeypatch):
    half = by_nutpie.isel(draw=slice(250))
    monkeypatch.setattr("model.nuts._nutpie", lambda *_: half)
    with pytest.raises(KeyboardInterrupt):
        run_engine(design, short())


@pytest.mark.parametrize("done", [100, 1600])  # of 2 x (500 + 500): while tuning, and after
def test_an_interrupt_of_pymc_is_not_lost(design, done):
    def interrupt(now, _):
        if now >= done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_engine(design, short("pymc"), interrupt)


def test_sampling_leaves_no_files(design, tmp_path, monkeypatch):
    """PyTensor keeps generated source for ever, where it is not told otherwise."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_engine(design, short(model="m4"))
    assert not list(tmp_path.iterdir())

"""The NUTS engine against the others; its seeds, progress, interrupts and files."""

from functools import cache
from typing import Any

import arviz as az
import numpy as np
import nutpie
import pytest
import xarray as xr

from model.engines.nuts import sampler as nuts
from model.engines.nuts.plain import build_model
from model.engines.run import add_predictive_groups, run_engine
from model.screen.design import ScreenDesign
from model.simulation.calibration import simulate_screen
from schemas.calibration import CalibrationSettings
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from schemas.posterior import check_contract
from tests.designs import design_from_rows, nested_rows

DESIGN = design_from_rows(nested_rows(8, 6, 2, 2)[0])
LARGER = design_from_rows(nested_rows(20, 10, 3, 2)[0])  # for the SDs of m4_nested
# The data do not tell the means of alpha and gamma apart, and few genes leave a heavy tail of SDs.
PRIORS = Priors.model_validate(
    {"mu_alpha": "Normal(-0.3, 0.4)", "mu_gamma": "Normal(0.2, 0.3)"}
    | dict.fromkeys(MODEL_SPECS["m4_nested"].sds, "HalfNormal(1)")
)


def settings(model: ModelName = "m4_zero_mean", engine: str = "nuts", **of: Any) -> FitParameters:
    sampling = Sampling(**{"draws": 500, "tune": 500, "chains": 2, "predictive_draws": 50} | of)
    return FitParameters.model_validate(
        {"model": model, "engine": engine, "priors": PRIORS, "sampling": sampling}
    )


@cache
def design_of(model: ModelName) -> ScreenDesign:
    if model == "m4_screen":  # of eight slopes three are large; lines and genes are unequal
        of = CalibrationSettings(model=model, genes=12, cell_lines=8, guides=2, priors=PRIORS)
        return simulate_screen(of, np.random.SeedSequence(164)).design
    return LARGER if model == "m4_nested" else DESIGN


@cache
def exact(model: ModelName) -> xr.Dataset:
    """By the exact engine, or by the Gibbs engine where it cannot integrate the model."""
    engine, draws = ("gibbs", 10_000) if model == "m4_screen" else ("exact", 4000)
    parameters = settings(model, engine, draws=draws, chains=4)
    return run_engine(design_of(model), parameters)["posterior"].dataset


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Compile each PyMC model once, however often it is sampled: that takes nearly all the time."""
    built = cache(lambda model: build_model(model, design_of(model), PRIORS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nutpie, "compile_pymc_model", cache(nutpie.compile_pymc_model))
        patch.setattr("model.engines.nuts.plain.build_model", lambda model, *_: built(model))
        yield


SLOW = [pytest.param(name, 4000, marks=pytest.mark.slow) for name in ("m4_nested", "m4_screen")]


@pytest.mark.parametrize(("model", "draws"), [("m4_zero_mean", 3000), ("m4", 20_000), *SLOW])
def test_nuts_and_the_other_engines_agree(model, draws, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    parameters = settings(model, draws=draws, chains=4)
    design = design_of(model)
    tree = run_engine(design, parameters)
    assert not list(tmp_path.iterdir())  # PyTensor would keep generated source there
    both = (tree["posterior"].dataset, exact(model))
    ours, theirs = (az.summary(of, kind="all", round_to="none") for of in both)
    error = np.hypot(ours["mcse_mean"], theirs["mcse_mean"])
    assert ((ours["mean"] - theirs["mean"]).abs() / error).max() < 4
    assert (theirs["sd"] / ours["sd"]).sub(1).abs().max() < 0.05
    full, _ = add_predictive_groups(tree, design, parameters)
    check_contract(full, MODEL_SPECS[model].variables)
    assert tree["posterior"]["beta_g"].shape == (4, draws, len(design.genes))
    assert tuple(tree["posterior"]["gene"].to_numpy()) == design.genes
    statistics = {name: of.dtype for name, of in tree["sample_stats"].dataset.items()}
    assert statistics == {"diverging": bool, "energy": float, "step_size": float}


def test_equal_seeds_give_equal_draws_and_progress_ends_at_the_total():
    reports: list[tuple[int, int]] = []
    with_seed = [settings().model_copy(update={"seed": seed}) for seed in (1, 1, 2)]
    one, same, other = (
        run_engine(DESIGN, of, lambda *done: reports.append(done))["posterior"].dataset
        for of in with_seed
    )
    assert one.identical(same)
    assert not np.array_equal(one["mu_beta"], other["mu_beta"])
    assert reports[-1] == (2000, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["pymc", "numpyro"])
def test_other_samplers_agree(sampler):
    found = run_engine(DESIGN, settings(sampler=sampler))["posterior"]["beta_g"]
    expected = exact("m4_zero_mean")["beta_g"]
    difference = found.mean(("chain", "draw")) - expected.mean(("chain", "draw"))
    # About 1,000 independent draws: the difference has an SD of 0.035 posterior SDs.
    assert float(abs(difference / expected.std(("chain", "draw"))).max()) < 0.25


@pytest.mark.slow
def test_an_interrupt_of_pymc_is_not_lost():
    """After tuning; that of a command in `tests/faults` comes before, and leaves no draws."""

    def interrupt(now: int, _: int) -> None:
        if now >= 600:  # of 2 x (200 + 200)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_engine(DESIGN, settings(sampler="pymc", draws=200, tune=200), interrupt)


def test_fewer_draws_than_asked_for_are_no_posterior(monkeypatch):
    half = xr.DataTree.from_dict({"posterior": exact("m4_zero_mean").isel(draw=slice(250))})
    monkeypatch.setattr(nuts, "_nutpie", lambda *_: half)
    with pytest.raises(KeyboardInterrupt):
        run_engine(DESIGN, settings())

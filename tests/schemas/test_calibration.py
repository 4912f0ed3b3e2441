"""Settings and results of calibrations, simulations and imported traces."""

import pytest

from schemas.calibration import CalibrationSettings, Coverage
from schemas.parameters import FitParameters, Priors, Sampling
from schemas.simulation import Simulation, TrueValues
from schemas.trace import TraceOrigin


def test_simulated_screens_are_fitted_with_what_the_calibration_asks_for():
    asked = {
        "model": "m4_nested",
        "engine": "exact",
        "priors": Priors.preset("as_written"),
        "sampling": Sampling(draws=77),
    }
    settings = CalibrationSettings.model_validate(asked)
    assert settings.fit_parameters(5) == FitParameters.model_validate(asked | {"seed": 5})
    assert settings.simulated == "m4_nested"
    assert settings.model_copy(update={"simulated_model": "m4"}).simulated == "m4"
    for coverage, errors in ((0.93, 2), (0.85, -2)):
        found = Coverage(variable="beta_g", level=0.89, coverage=coverage, mcse=0.02)
        assert found.errors_off == pytest.approx(errors)


def test_a_screen_is_drawn_from_the_values_of_a_real_one_unless_others_are_given():
    assert Simulation().population == TrueValues()
    plain = TrueValues(sigma_alpha=0.28, sigma_gamma=0.41, sigma_beta=0.18, sigma=0.75)
    for model in ("m4", "m4_zero_mean"):
        assert Simulation.model_validate({"model": model}).population == plain
    assert Simulation(model="m4", true_values=TrueValues(sigma=2)).population.sigma == 2


def test_a_trace_names_its_library_and_leaves_out_the_settings_it_does_not_have():
    origin = TraceOrigin(location="a.nc", sha256="0", library="pymc3", version="3.9.3")
    tuned = origin.model_copy(update={"tune": 500, "version": ""})
    assert (origin.imported_from, tuned.imported_from) == ("pymc3 3.9.3", "pymc3")
    flat, hidden = FitParameters().flat(), {"sampling.sampler", "sampling.target_accept"}
    assert flat.keys() - tuned.known(FitParameters()).keys() == hidden
    assert flat.items() >= tuned.known(FitParameters()).items()
    assert flat.keys() - origin.known(FitParameters()).keys() == {*hidden, "sampling.tune"}

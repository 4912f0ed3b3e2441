"""What a calibration asks of its fits, and how far coverage is off."""

from __future__ import annotations

import pytest

from schemas.calibration import CalibrationSettings, Coverage
from schemas.parameters import FitParameters, Priors, Sampling


def test_simulated_screens_are_fitted_with_what_the_calibration_asks_for():
    settings = CalibrationSettings(
        model="m4_nested",
        engine="exact",
        priors=Priors.preset("as_written"),
        sampling=Sampling(draws=77),
    )
    assert settings.fit_parameters(5) == FitParameters(
        model="m4_nested",
        engine="exact",
        seed=5,
        priors=settings.priors,
        sampling=settings.sampling,
    )
    assert settings.simulated == "m4_nested"
    assert settings.model_copy(update={"simulated_model": "m4"}).simulated == "m4"


@pytest.mark.parametrize(("coverage", "errors"), [(0.93, 2.0), (0.85, -2.0)])
def test_coverage_is_off_in_monte_carlo_errors(coverage: float, errors: float):
    found = Coverage(variable="beta_g", level=0.89, coverage=coverage, mcse=0.02)
    assert found.errors_off == pytest.approx(errors)

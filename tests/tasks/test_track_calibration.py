"""Which calibration speaks for a fit: the latest of its model and engine, on its own screens."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.calibration import CalibrationSettings
from tasks.track_calibration import latest_calibration, open_calibration
from tests.tasks.stores import calibrated

NUTS = CalibrationSettings(model="m4", engine="nuts")
AUTO = CalibrationSettings(model="m4", engine="auto")


@pytest.fixture(autouse=True, scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("calibrations")
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        yield


def test_the_latest_that_is_of_model_and_engine_counts():
    assert latest_calibration("m4", "nuts") is None
    first = calibrated(NUTS, Counter(nuts=60))
    calibrated(CalibrationSettings(model="m4_nested", engine="nuts"), Counter(nuts=60), sound=False)
    calibrated(
        CalibrationSettings(model="m4", simulated_model="m4_nested", engine="nuts"),
        Counter(nuts=60),
        sound=False,
    )
    open_calibration(NUTS)  # not finished
    found = latest_calibration("m4", "nuts")
    assert found is not None
    assert (found.run_id, found.verdict, found.n_simulations) == (first, "pass", 60)
    assert latest_calibration("m4", "exact") is None

    later = calibrated(NUTS, Counter(nuts=61), sound=False)
    found = latest_calibration("m4", "nuts")
    assert found is not None
    assert (found.run_id, found.verdict, found.n_simulations) == (later, "fail", 61)


def test_auto_speaks_for_the_engine_that_computed_the_most():
    run = calibrated(AUTO, Counter(exact=58, nuts=2))
    found = latest_calibration("m4", "exact")
    assert found is not None and found.run_id == run
    assert latest_calibration("m4", "auto") is None

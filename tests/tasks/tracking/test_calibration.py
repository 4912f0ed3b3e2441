"""The calibration that counts for a fit: the latest of its model and engine, on its own screens."""

from collections import Counter

from schemas.calibration import CalibrationSettings
from tasks.tracking.calibration import latest_calibration, open_calibration
from tests.tasks.stores import calibrated

NUTS = CalibrationSettings(model="m4", engine="nuts")
AUTO = CalibrationSettings(model="m4", engine="auto")
OF_OTHERS = CalibrationSettings(model="m4", simulated_model="m4_nested", engine="nuts")


def test_the_latest_finished_calibration_of_model_and_engine_counts(working_folder):
    def found(engine: str) -> tuple[object, ...]:
        latest = latest_calibration("m4", engine, 60)
        return () if latest is None else (latest.run_id, latest.verdict, latest.n_simulations)

    assert found("nuts") == ()
    first = calibrated(NUTS, Counter(nuts=60))
    calibrated(CalibrationSettings(model="m4_nested", engine="nuts"), Counter(nuts=60), sound=False)
    calibrated(OF_OTHERS, Counter(nuts=60), sound=False)
    open_calibration(NUTS)  # not finished
    assert found("nuts") == (first, "pass", 60)
    assert found("exact") == ()
    later = calibrated(NUTS, Counter(nuts=61), sound=False)
    assert found("nuts") == (later, "fail", 61)

    # Auto counts for the engine that computed the most.
    auto = calibrated(AUTO, Counter(exact=58, nuts=2))
    assert found("exact") == (auto, "pass", 60)
    assert found("auto") == ()


def test_few_simulations_that_passed_do_not_replace_more_and_a_failure_does(working_folder):
    def found(at_least: int) -> str | None:
        latest = latest_calibration("m4", "nuts", at_least)
        return None if latest is None else latest.run_id

    few = calibrated(NUTS, Counter(nuts=59))
    assert found(60) == few  # there is no other
    enough = calibrated(NUTS, Counter(nuts=60))
    newer = calibrated(NUTS, Counter(nuts=58))
    assert (found(60), found(58)) == (enough, newer)
    assert found(61) == newer
    failed = calibrated(NUTS, Counter(nuts=57), sound=False)
    assert (found(60), found(58)) == (failed, failed)

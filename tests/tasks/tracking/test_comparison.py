"""Finished comparisons: which of them is the result of the same comparison."""

from mlflow import MlflowClient

from schemas.comparison import Comparison, ComparisonSettings
from tasks.tracking.comparison import finished_comparison, open_comparison
from tasks.tracking.run import FitRun
from tasks.tracking.side_run import finish_run
from tests.tasks.reports.test_markdown_pages import COMPARISON

SETTINGS = ComparisonSettings()
WITH_SIGNS = {"n_hits_lost": 0.0, "n_hits_opposite_sign": 0.0}


def test_a_comparison_of_a_version_that_did_not_look_at_signs_is_computed_again(working_folder):
    experiment = MlflowClient().create_experiment("avana")

    def finished(measures: dict[str, float], comparison: Comparison = COMPARISON) -> FitRun:
        run = open_comparison(experiment, comparison, SETTINGS)
        finish_run(run, {}, measures, "page")
        return run

    def found(settings: ComparisonSettings = SETTINGS) -> str | None:
        a, b = COMPARISON.a.run_id, COMPARISON.b.run_id
        run = finished_comparison(experiment, a, b, settings)
        return None if run is None else run.run_id

    finished({"n_hits_lost": 0.0})
    assert found() is None
    wanted = finished(WITH_SIGNS)
    finished(WITH_SIGNS, COMPARISON.model_copy(update={"a": COMPARISON.b, "b": COMPARISON.a}))
    open_comparison(experiment, COMPARISON, SETTINGS)  # not finished
    assert found() == wanted.run_id
    assert found(ComparisonSettings(lfsr_max=0.01)) is None

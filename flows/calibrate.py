"""The flow that tries model and engine on screens with known truth. Only the order of calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prefect import flow
from pydantic import Field

from model.calibration import require_possible
from model.engines import run_engine
from schemas.calibration import CalibrationReport, CalibrationSettings
from schemas.errors import UserError
from schemas.parameters import form_title
from tasks.calibration_steps import (
    ecdf_table_task,
    judge_task,
    open_calibration_task,
    pit_table_task,
    simulations_task,
    track_calibration_task,
)
from tasks.flow_runs import describe_run, is_over, publish, refused
from tasks.progress import tell
from tasks.render_calibration import calibration_markdown
from tasks.steps import close_abandoned_task, wait_for_mlflow
from tasks.stopwatch import Stopwatch
from tasks.track_calibration import EXPERIMENT, calibration_name
from tasks.tracking_run import seen_to_its_end, where_to_look


class NoPosterior(UserError):
    """Simulations that all failed."""


@dataclass(frozen=True)
class CalibrationOutcome:
    """What a calibration hands back."""

    run_id: str
    where_to_look: str
    report: CalibrationReport


@flow(name="calibrate")
def calibrate(
    settings: Annotated[
        CalibrationSettings, Field(**form_title("Settings"))
    ] = CalibrationSettings(),
) -> CalibrationOutcome:
    """Fit many simulated screens and see how often the truth is where the posterior says.

    Args:
        settings: Model, engine, number and size of the simulated screens.

    Raises:
        UserError: The model cannot be told from screens of this size.
        EnvironmentTrouble: MLflow cannot be reached.
    """
    try:
        return _calibrate(settings)
    except UserError as error:
        return refused(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _calibrate(settings: CalibrationSettings) -> CalibrationOutcome:
    require_possible(settings)
    stopwatch = Stopwatch()
    describe_run(f"calibrate {calibration_name(settings)}", [settings.model, settings.engine])
    wait_for_mlflow()
    close_abandoned_task(EXPERIMENT, is_over)
    with seen_to_its_end(open_calibration_task(settings)) as run:
        results = simulations_task(settings, run_engine)
        pits = pit_table_task(results)
        if pits.empty:
            raise NoPosterior(
                "none of the simulated screens gave a posterior: expected some; take --engine auto "
                "or larger screens"
            )
        ecdf = ecdf_table_task(pits, settings)
        report = judge_task(settings, results, ecdf)
        tell(f"Verdict: {report.verdict.status}")
        wait_for_mlflow(fitted=True)
        track_calibration_task(run, report, pits, ecdf, stopwatch.total())
    where = where_to_look(run)
    publish(calibration_markdown(report, where), key="calibration")
    tell(f"Tracked as run {run.run_id}: {where}")
    return CalibrationOutcome(run.run_id, where, report)

"""The flow that calibrates a model: on simulated screens, or on a dataset with permuted RNA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.permutation_trial import TrialOutcome, permutation_trial
from model.engines.run import run_engine
from model.simulation.calibration import require_possible
from model.simulation.calibration_verdict import ecdf_table, judge_calibration, pit_table
from schemas.calibration import CalibrationReport, CalibrationSettings
from schemas.errors import UserError
from schemas.parameters import FitParameters, form_title
from schemas.permutation import TRIAL_PARAMETERS, TrialSettings
from tasks.reports.calibration import calibration_markdown
from tasks.runtime.prefect_runs import describe_run, is_terminal, publish, refused_state
from tasks.runtime.progress import log_info
from tasks.runtime.stopwatch import Stopwatch
from tasks.steps.calibration import simulations_task
from tasks.steps.fit import wait_for_mlflow
from tasks.tracking.calibration import (
    EXPERIMENT,
    calibration_name,
    open_calibration,
    track_calibration,
)
from tasks.tracking.earlier_runs import close_abandoned
from tasks.tracking.run import managed_run, run_location


class NoPosterior(UserError):
    """All simulations failed."""


@dataclass(frozen=True)
class CalibrationOutcome:
    """The result of the flow."""

    run_id: str
    run_location: str
    report: CalibrationReport


@flow(name="calibrate")
def calibrate(
    settings: Annotated[
        CalibrationSettings, Field(**form_title("Settings"))
    ] = CalibrationSettings(),
    dataset_file: Annotated[str, Field(**form_title("Dataset file"))] = "",
    trial: Annotated[TrialSettings, Field(**form_title("Permutation trial"))] = TrialSettings(),
    parameters: Annotated[FitParameters, Field(**form_title("Fit"))] = TRIAL_PARAMETERS,
    dask: Annotated[str, Field(**form_title("Dask cluster"))] = "",
) -> CalibrationOutcome | TrialOutcome:
    """Fit many simulated screens and compare posteriors with the true values.

    With a dataset file, fit its screen with the RNA of random genes permuted instead, and count the
    calls of these genes, which are false.

    Args:
        settings: Model, engine, number and size of the simulated screens.
        dataset_file: Dataset file (YAML), a path or an s3:// address; nothing: simulated screens.
        trial: Share of the genes whose RNA is permuted, and how often (with a dataset file).
        parameters: Model, filters, priors and sampling of each fit (with a dataset file).
        dask: Where to compute (with a dataset file): nothing for this process, `local` for a Dask
            cluster on this machine, or the address of a scheduler, tcp://host:8786.

    Raises:
        UserError: Screens of this size do not identify the model, the engine does not support it,
            or the dataset, the filters or the model must be changed.
        ExternalServiceError: A table, MLflow or the cluster cannot be reached.
    """
    try:
        if dataset_file:
            return permutation_trial(dataset_file, trial, parameters, dask)
        return _calibrate(settings)
    except UserError as error:
        return refused_state(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _calibrate(settings: CalibrationSettings) -> CalibrationOutcome:
    require_possible(settings)
    stopwatch = Stopwatch()
    describe_run(f"calibrate {calibration_name(settings)}", [settings.model, settings.engine])
    wait_for_mlflow()
    close_abandoned(EXPERIMENT, is_terminal)
    with managed_run(open_calibration(settings)) as run:
        results = simulations_task(settings, run_engine)
        pits = pit_table(results)
        if pits.empty:
            raise NoPosterior(
                "expected posteriors, none of the simulated screens gave one; take --engine auto "
                "or larger screens"
            )
        ecdf = ecdf_table(results, settings)
        report = judge_calibration(settings, results, ecdf)
        log_info(f"Verdict: {report.verdict.status}")
        wait_for_mlflow(fitted=True)
        track_calibration(run, report, pits, ecdf, stopwatch.total())
    where = run_location(run)
    publish(calibration_markdown(report, where), key="calibration")
    log_info(f"Tracked as run {run.run_id}: {where}")
    return CalibrationOutcome(run.run_id, where, report)

"""The steps that fits and imported traces share, in their order."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from model.effects.copy_number import WithoutCopyNumber
from model.fit import FitResults, PreparedScreen
from schemas.dataset import Dataset
from schemas.parameters import FitParameters, Pictures
from schemas.trace import TraceOrigin
from tasks.reading.validate import InvalidDataset, ValidatedScreen
from tasks.reports.fit import NOT_STORED, result_markdown, reused_markdown, run_links
from tasks.reports.validation import validation_markdown
from tasks.runtime.listener import show_result
from tasks.runtime.prefect_runs import publish, publish_anew
from tasks.runtime.progress import log_info
from tasks.runtime.stopwatch import Stopwatch
from tasks.steps.fit import analyse_task, prepare_task, report_task, track_task, validate_task
from tasks.tracking.run import FitRun, run_location


@dataclass(frozen=True)
class FitOutcome:
    """The result of the flow."""

    run_id: str
    run_location: str
    """Command and address that show the run in MLflow."""
    results: FitResults | None
    """None where an earlier fit was reused."""


def validate_dataset(
    dataset: Dataset, parameters: FitParameters, stopwatch: Stopwatch
) -> ValidatedScreen:
    """Return the validated tables; raise InvalidDataset where they cannot be fitted."""
    log_info(f"Validating {dataset.name} {dataset.release}")
    with stopwatch.stage("validate"):
        screen = validate_task(dataset, parameters)
    publish(validation_markdown(screen.report), key="validation")
    if screen.screen is None or screen.statistics is None:
        raise InvalidDataset(screen.report)
    return screen


def prepare_design(
    dataset: Dataset, parameters: FitParameters, tables: ValidatedScreen, stopwatch: Stopwatch
) -> PreparedScreen:
    """Return the design of validated tables; raise UserError where the model cannot be fitted."""
    assert tables.screen is not None and tables.statistics is not None
    with stopwatch.stage("prepare"):
        return prepare_task(dataset, parameters, tables.report, tables.screen, tables.statistics)


def track_posterior(
    run: FitRun,
    sampled: xr.DataTree,
    screen: PreparedScreen,
    command: str,
    stopwatch: Stopwatch,
    origin: TraceOrigin | None = None,
    pictures: Pictures = "report",
    without: WithoutCopyNumber | None = None,
) -> FitOutcome:
    """Analyse the draws, show the result, render the report, and store everything in the run.

    The result is shown first, since drawing and storing take longer than the fit of a small screen;
    its page says that it is not stored, until it is.
    `sampled` is what an engine returns (`model.engines.run.run_engine`); `command` repeats the fit;
    `origin` is the source of draws that were not sampled here; `without` are the results of the fit
    without copy number.
    """
    with stopwatch.stage("checks"):
        results = analyse_task(sampled, screen, origin, without)
    log_info(f"Verdict: {results.verdict.status}")
    where = run_location(run)
    page = publish(result_markdown(results, NOT_STORED), key="result")
    show_result(results)
    report = report_task(run, results, command, pictures)
    track_task(run, results, report, stopwatch)
    links = run_links(where, explorer=bool(report.explorer))
    publish_anew(page, result_markdown(results, links), key="result")
    log_info(f"Tracked as run {run.run_id}: {where}")
    return FitOutcome(run.run_id, where, results)


def reuse_fit(
    dataset: Dataset, parameters: FitParameters, earlier: FitRun, *, imported: bool = False
) -> FitOutcome:
    """Publish that an equal fit is in MLflow already, and return it."""
    where = run_location(earlier)
    publish(reused_markdown(dataset, parameters, where, imported=imported), key="result")
    log_info(f"An equal fit exists already, nothing to do: run {earlier.run_id}: {where}")
    return FitOutcome(earlier.run_id, where, None)

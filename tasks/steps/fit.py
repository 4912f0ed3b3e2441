"""The Prefect tasks of a fit: validate, prepare, fit (or import a trace), analyse, report, track.

Nothing is cached: results are designs and posteriors, too large to hash and to store twice, and
MLflow holds what is worth keeping. A deployed run waits for an MLflow server that is away; at a
terminal a person can start it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr
from prefect import task
from prefect.cache_policies import NO_CACHE

from model.effects.copy_number import (
    WithoutCopyNumber,
    summarise_without,
    without_copy_number,
)
from model.engines.import_trace import align_trace
from model.engines.run import run_engine
from model.fit import FitResults, PreparedScreen, analyse, prepare_screen
from model.screen.design import ScreenDesign
from schemas.dataset import Dataset
from schemas.parameters import FitParameters, Pictures
from schemas.trace import TraceOrigin
from tasks.dask_cluster import workers_at
from tasks.reading.trace import read_trace
from tasks.reading.validate import ValidatedScreen, validate
from tasks.runtime.prefect_runs import this_flow_run
from tasks.runtime.progress import Progress, log_info
from tasks.runtime.stopwatch import Stopwatch
from tasks.tracking.run import FitRun
from tasks.tracking.store import TrackingError, require_answer, tracking_uri

if TYPE_CHECKING:
    from tasks.reports.figures import FitReport
    from tasks.tracking.comparison import ComparedFits

MLFLOW_DELAYS: list[float] = [5, 10, 20, 40, *[60] * 10]
"""Seconds between requests to a tracking server that does not answer: eleven minutes."""
TERMINAL_DELAYS: list[float] = [5, 10, 15, 30]
"""The same at a terminal, after a fit: a minute."""

read_trace_task = task(name="read trace", cache_policy=NO_CACHE)(read_trace)
import_task = task(name="import trace", cache_policy=NO_CACHE)(align_trace)
prepare_task = task(name="prepare", cache_policy=NO_CACHE)(prepare_screen)


@task(name="ask MLflow", cache_policy=NO_CACHE)
def _ask_mlflow(patience: list[float]) -> None:
    try:
        require_answer(tracking_uri())
    except TrackingError as error:
        if patience:
            log_info(f"Waiting for MLflow, at most {sum(patience):.0f} s. {error}")
        raise


def wait_for_mlflow(*, fitted: bool = False) -> None:
    """Return once MLflow answers; raise TrackingError if it does not.

    A deployed run waits. At a terminal, it waits only after a fit (`fitted`), which would be lost.
    """
    patience = MLFLOW_DELAYS if this_flow_run() else TERMINAL_DELAYS if fitted else []
    ask = _ask_mlflow.with_options(retries=len(patience), retry_delay_seconds=patience)
    ask(patience)


@task(name="validate", cache_policy=NO_CACHE)
def validate_task(dataset: Dataset, parameters: FitParameters) -> ValidatedScreen:
    """Validate and reduce a dataset; progress in guides read."""
    with Progress("reading guides") as progress:
        return validate(dataset, parameters, progress)


@task(name="fit", cache_policy=NO_CACHE)
def fit_task(design: ScreenDesign, parameters: FitParameters, dask: str = "") -> xr.DataTree:
    """Compute the posterior; progress in the units of the engine: steps and draws, or passes."""
    stages = {"nuts": f"sampling with {parameters.sampling.sampler}", "exact": "integrating"}
    # `auto` may begin with the one and end with the other.
    stage = stages.get(parameters.engine, "fitting")
    with workers_at(dask) as workers, Progress(stage) as progress:
        tree = run_engine(design, parameters, progress, workers)
    if why := tree.attrs.get("fell_back"):
        log_info(f"The exact engine could not integrate the model, and NUTS sampled it: {why}")
    return tree


@task(name="fit without copy number", cache_policy=NO_CACHE)
def fit_without_copy_number_task(
    design: ScreenDesign, parameters: FitParameters
) -> WithoutCopyNumber:
    """Fit the same model, with the same seed and settings, without the copy number of a design."""
    with Progress("fitting without copy number") as progress:
        tree = run_engine(without_copy_number(design), parameters, progress)
    return summarise_without(tree, design, parameters)


@task(name="analyse", cache_policy=NO_CACHE)
def analyse_task(
    sampled: xr.DataTree,
    screen: PreparedScreen,
    origin: TraceOrigin | None = None,
    without: WithoutCopyNumber | None = None,
) -> FitResults:
    """Analyse the draws; progress in steps, and in cell lines that were left out."""
    with Progress("checking the fit") as steps, Progress("leaving out cell lines") as progress:
        return analyse(sampled, screen, origin, progress, without, steps)


@task(name="report", cache_policy=NO_CACHE)
def report_task(
    run: FitRun, results: FitResults, command: str, choice: Pictures = "all"
) -> FitReport:
    """Draw the chosen pictures and render the report and the gene explorer.

    It has the changes since the champion, and the latest permutation trial. `command` repeats the
    fit. The graph of the model is one of all pictures; without pictures there is no explorer.
    """
    # What draws and renders takes seconds to import, and the result is shown first.
    from tasks.reports.explorer import render_explorer
    from tasks.reports.figures import FitReport, draw_model_graph, draw_pictures
    from tasks.reports.html import render_report
    from tasks.reports.provenance import key_versions

    with Progress("drawing pictures") as progress:
        figures = draw_pictures(results, choice, progress)
    graph = draw_model_graph(results.design, results.parameters) if choice == "all" else ""
    explorer = "" if choice == "none" else render_explorer(results, run.run_id)
    changes = _since_champion(run, results)
    trial = _permutation_trial(results)
    html = render_report(
        *(results, figures, run.run_id, command, key_versions(), changes, trial),
        has_explorer=bool(explorer),
    )
    return FitReport(html, figures, graph, explorer)


@task(name="track", cache_policy=NO_CACHE)
def track_task(run: FitRun, results: FitResults, report: FitReport, stopwatch: Stopwatch) -> None:
    """Store everything in the run; progress in steps, of which writing the files is the first."""
    from tasks.tracking.log_fit import track_fit  # with MLflow's models, as above

    with Progress("storing") as progress:
        track_fit(run, results, report, stopwatch, progress)


def _permutation_trial(results: FitResults) -> str:
    from tasks.reports.permutation import describe_trial
    from tasks.tracking.permutation import latest_trial

    model = results.parameters.model
    try:
        trial = latest_trial(results.dataset.name, results.data_digest, model)
    except (TrackingError, OSError) as error:  # the fit must not be lost
        log_info(f"The report omits permutation trials. {error}")
        return ""
    return describe_trial(model, trial)


def _since_champion(run: FitRun, results: FitResults) -> ComparedFits | None:
    from tasks.tracking.champion import since_champion
    from tasks.tracking.load import DamagedFit

    try:
        wait_for_mlflow(fitted=True)
        return since_champion(run, results)
    except (TrackingError, DamagedFit, OSError) as error:
        # The fit must not be lost, even where the working folder is gone (OSError): tracking
        # writes its files to a temporary folder.
        log_info(f"The report omits the champion. {error}")
        return None

"""The flow that makes a trace sampled elsewhere a tracked fit. Only the order of calls."""

from __future__ import annotations

from typing import Annotated

import xarray as xr
from prefect import flow
from pydantic import Field

from flows.tracked_posterior import FitOutcome, prepared, there_already, track_posterior, validated
from model.imported import parameters_of
from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.identity import data_digest, trace_key
from schemas.parameters import FitParameters, Pictures
from schemas.trace import Trace, TraceOrigin
from tasks.flow_runs import describe_run, refused
from tasks.import_steps import import_task, read_trace_task
from tasks.progress import tell
from tasks.reproduce import import_command
from tasks.steps import finished_fit_task, load_dataset_task, open_run_task, wait_for_mlflow
from tasks.stopwatch import Stopwatch
from tasks.tracking_run import seen_to_its_end


@flow(name="import-trace", flow_run_name="{trace_file} {dataset_file}")
def import_trace(
    trace_file: Annotated[str, Field(min_length=1)],
    dataset_file: Annotated[str, Field(min_length=1)],
    parameters: FitParameters = FitParameters(),
    pictures: Pictures = "all",
) -> FitOutcome:
    """Make a trace of one release of a screen a run like that of a fit.

    Args:
        trace_file: InferenceData as netCDF: a path or an s3:// address.
        dataset_file: The dataset file (YAML) of the screen the trace was sampled from.
        parameters: Filters, priors and preparation the trace was sampled with, and thresholds.
            Model, engine and number of draws are those of the trace.
        pictures: Which pictures to draw: `all`, `report` (those of the result) or `none`.

    Raises:
        UserError: The trace cannot be read, or is not of this dataset; no run is begun. The flow
            run ends in the state `Refused`.
        EnvironmentTrouble: A table, the trace or MLflow cannot be reached.
    """
    try:
        dataset = load_dataset_task(dataset_file)
        trace, origin = read_trace_task(trace_file)
        parameters = parameters_of(trace, origin, parameters)
        describe_run(
            f"{dataset.name} {dataset.release} {parameters.model} from {origin.imported_from}",
            [dataset.name, dataset.release, parameters.model],
        )
        return _import(trace, origin, dataset, dataset_file, parameters, pictures)
    except UserError as error:
        return refused(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _import(
    trace: Trace,
    origin: TraceOrigin,
    dataset: Dataset,
    dataset_file: str,
    parameters: FitParameters,
    pictures: Pictures,
) -> FitOutcome:
    stopwatch = Stopwatch()
    validation = validated(dataset, parameters, stopwatch)
    wait_for_mlflow()
    digest = data_digest(validation.report.tables)
    earlier = finished_fit_task(dataset, trace_key(dataset, digest, parameters, origin.sha256))
    if earlier is not None:
        return there_already(dataset, parameters, earlier, imported=True)

    screen = prepared(dataset, parameters, validation, stopwatch)
    tell(f"Holding the trace of {origin.imported_from} against the measurements")
    # mypy takes a DataTree for a coroutine: one of its bases is untyped.
    sampled: xr.DataTree = import_task(trace, origin, screen.design, parameters)  # type: ignore[assignment]
    if origin.seconds is not None:
        stopwatch.seconds["fit"] = origin.seconds
    opened = open_run_task(dataset, parameters, digest, origin=origin)
    with seen_to_its_end(opened) as run:
        command = import_command(origin.location, dataset_file, parameters)
        return track_posterior(run, sampled, screen, command, stopwatch, origin, pictures)

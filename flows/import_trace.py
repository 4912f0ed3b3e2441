"""The flow that imports a trace of another library as a tracked fit."""

from __future__ import annotations

from typing import Annotated

import xarray as xr
from prefect import flow
from pydantic import Field

from flows.fit_pipeline import (
    FitOutcome,
    prepare_design,
    reuse_fit,
    track_posterior,
    validate_dataset,
)
from model.engines.import_trace import parameters_of
from schemas.dataset import Dataset
from schemas.digests import data_digest, trace_key
from schemas.errors import UserError
from schemas.parameters import FitParameters, Pictures
from schemas.trace import Trace, TraceOrigin
from tasks.reading.dataset_file import load_dataset
from tasks.reports.provenance import import_command
from tasks.runtime.prefect_runs import describe_run, refused_state
from tasks.runtime.progress import log_info
from tasks.runtime.stopwatch import Stopwatch
from tasks.steps.fit import import_task, read_trace_task, wait_for_mlflow
from tasks.tracking.earlier_runs import finished_fit
from tasks.tracking.run import managed_run, open_run


@flow(name="import-trace", flow_run_name="{trace_file} {dataset_file}")
def import_trace(
    trace_file: Annotated[str, Field(min_length=1)],
    dataset_file: Annotated[str, Field(min_length=1)],
    parameters: FitParameters = FitParameters(),
    pictures: Pictures = "report",
) -> FitOutcome:
    """Make a trace of one release of a screen a run like that of a fit.

    Args:
        trace_file: InferenceData as netCDF: a path or an s3:// address.
        dataset_file: The dataset file (YAML) of the screen the trace was sampled from.
        parameters: Filters, priors and preparation the trace was sampled with, and thresholds.
            Model, engine and number of draws are those of the trace.
        pictures: Which pictures to draw: `all`, `report` (those of the result and of
            its checks) or `none`, without the gene explorer too.

    Raises:
        UserError: The trace cannot be read, or is not of this dataset; no run is begun. The flow
            run ends in the state `Refused`.
        ExternalServiceError: A table, the trace or MLflow cannot be reached.
    """
    try:
        dataset = load_dataset(dataset_file)
        trace, origin = read_trace_task(trace_file)
        parameters = parameters_of(trace, origin, parameters)
        describe_run(
            f"{dataset.name} {dataset.release} {parameters.model} from {origin.imported_from}",
            [dataset.name, dataset.release, parameters.model],
        )
        return _import(trace, origin, dataset, dataset_file, parameters, pictures)
    except UserError as error:
        return refused_state(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _import(
    trace: Trace,
    origin: TraceOrigin,
    dataset: Dataset,
    dataset_file: str,
    parameters: FitParameters,
    pictures: Pictures,
) -> FitOutcome:
    stopwatch = Stopwatch()
    validation = validate_dataset(dataset, parameters, stopwatch)
    wait_for_mlflow()
    digest = data_digest(validation.report.tables)
    earlier = finished_fit(dataset, trace_key(dataset, digest, parameters, origin.sha256))
    if earlier is not None:
        return reuse_fit(dataset, parameters, earlier, imported=True)

    screen = prepare_design(dataset, parameters, validation, stopwatch)
    log_info(f"Checking the trace of {origin.imported_from} against the measurements")
    # mypy takes a DataTree for a coroutine: one of its bases is untyped.
    sampled: xr.DataTree = import_task(trace, origin, screen.design, parameters)  # type: ignore[assignment]
    if origin.seconds is not None:
        stopwatch.seconds["fit"] = origin.seconds
    opened = open_run(dataset, parameters, digest, origin=origin)
    with managed_run(opened) as run:
        command = import_command(origin.location, dataset_file, parameters)
        return track_posterior(run, sampled, screen, command, stopwatch, origin, pictures)

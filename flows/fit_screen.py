"""The flow that turns one release of a screen into one tracked fit. Only the order of calls."""

from __future__ import annotations

from typing import Annotated

import xarray as xr
from prefect import flow
from pydantic import Field

from flows.tracked_posterior import FitOutcome, prepared, there_already, track_posterior, validated
from model.engines import cost, needed_bytes
from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.identity import data_digest, fit_key
from schemas.parameters import FitParameters, Pictures, form_title
from tasks.cluster import check_cluster
from tasks.flow_runs import describe_run, is_over, one_at_a_time, refused, this_flow_run
from tasks.memory import require_memory
from tasks.progress import tell
from tasks.reproduce import command_for
from tasks.steps import (
    close_abandoned_task,
    finished_fit_task,
    fit_task,
    load_dataset_task,
    open_run_task,
    wait_for_mlflow,
)
from tasks.stopwatch import Stopwatch
from tasks.tracking_run import seen_to_its_end


@flow(name="fit-screen", flow_run_name="{dataset_file} {parameters.model}")
def fit_screen(
    dataset_file: Annotated[str, Field(min_length=1, **form_title("Dataset file"))],
    parameters: Annotated[FitParameters, Field(**form_title("Fit"))] = FitParameters(),
    dask: Annotated[str, Field(**form_title("Dask cluster"))] = "",
    repeat: Annotated[bool, Field(**form_title("Repeat"))] = False,
    pictures: Annotated[Pictures, Field(**form_title("Pictures"))] = "all",
) -> FitOutcome:
    """Validate, prepare, fit, diagnose and track one release of a screen.

    Args:
        dataset_file: The dataset file (YAML) that says where the tables are: a path or an s3://
            address.
        parameters: Model, filters, priors, sampling and thresholds.
        dask: Where to compute: nothing for this process, `local` for a Dask cluster on this
            machine, or the address of a scheduler, tcp://host:8786.
        repeat: Fit again even where this very fit (same content of the tables, same parameters)
            is in MLflow already. If not set, that one is the result.
        pictures: Which pictures to draw: `all`, `report` (those of the result, which the report
            begins with) or `none`. They take longer than the fit of a small screen.

    Raises:
        UserError: The dataset, the filters, the model or `dask` must be changed; no run is begun.
            The flow run ends in the state `Refused`.
        EnvironmentTrouble: A table, MLflow or the cluster cannot be reached, or the machine has not
            the memory; then no run is begun.
    """
    try:
        check_cluster(dask, parameters.engine)
        dataset = load_dataset_task(dataset_file)
        describe_run(
            f"{dataset.name} {dataset.release} {parameters.model}",
            [dataset.name, dataset.release, parameters.model],
        )
        with one_at_a_time(dataset):
            return _fit(dataset, dataset_file, parameters, dask, repeat, pictures)
    except UserError as error:
        return refused(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _fit(
    dataset: Dataset,
    dataset_file: str,
    parameters: FitParameters,
    dask: str,
    repeat: bool,
    pictures: Pictures,
) -> FitOutcome:
    stopwatch = Stopwatch()
    validation = validated(dataset, parameters, stopwatch)

    wait_for_mlflow()
    close_abandoned_task(dataset.name, is_over)
    digest = data_digest(validation.report.tables)
    # A second attempt may find what the first one finished, whatever `repeat` says.
    only_of = this_flow_run() if repeat else ""
    if not repeat or only_of:
        earlier = finished_fit_task(dataset, fit_key(dataset, digest, parameters), only_of)
        if earlier is not None:
            return there_already(dataset, parameters, earlier)

    screen = prepared(dataset, parameters, validation, stopwatch)
    tell(f"Fitting {parameters.model}: {cost(screen.design, parameters)}")
    require_memory(needed_bytes(screen.design, parameters), "the fit")
    with seen_to_its_end(open_run_task(dataset, parameters, digest, this_flow_run())) as run:
        with stopwatch.stage("fit"):
            # mypy takes a DataTree for a coroutine: one of its bases is untyped.
            sampled: xr.DataTree = fit_task(screen.design, parameters, dask)  # type: ignore[assignment]
        command = command_for(dataset_file, parameters)
        return track_posterior(run, sampled, screen, command, stopwatch, pictures=pictures)

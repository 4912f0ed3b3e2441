"""The flow that fits one release of a screen and tracks the fit."""

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
from model.effects.copy_number import WithoutCopyNumber, copy_number_slope
from model.engines.run import describe_cost, needed_bytes
from model.fit import describe_analysis_cost
from schemas.dataset import Dataset
from schemas.digests import data_digest, fit_key
from schemas.errors import UserError
from schemas.parameters import FitParameters, Pictures, form_title
from tasks.dask_cluster import check_cluster
from tasks.reading.dataset_file import load_dataset
from tasks.reports.provenance import command_for
from tasks.runtime.memory import require_memory
from tasks.runtime.prefect_runs import (
    describe_run,
    is_terminal,
    one_fit_at_a_time,
    refused_state,
    this_flow_run,
)
from tasks.runtime.progress import Progress, log_info
from tasks.runtime.stopwatch import Stopwatch
from tasks.steps.fit import fit_task, fit_without_copy_number_task, wait_for_mlflow
from tasks.tracking.earlier_runs import close_abandoned, finished_fit
from tasks.tracking.run import managed_run, open_run


@flow(name="fit-screen", flow_run_name="{dataset_file} {parameters.model}")
def fit_screen(
    dataset_file: Annotated[str, Field(min_length=1, **form_title("Dataset file"))],
    parameters: Annotated[FitParameters, Field(**form_title("Fit"))] = FitParameters(),
    dask: Annotated[str, Field(**form_title("Dask cluster"))] = "",
    repeat: Annotated[bool, Field(**form_title("Repeat"))] = False,
    pictures: Annotated[Pictures, Field(**form_title("Pictures"))] = "report",
) -> FitOutcome:
    """Validate, prepare, fit, diagnose and track one release of a screen.

    Args:
        dataset_file: The dataset file (YAML) that says where the tables are: a path or an s3://
            address.
        parameters: Model, filters, priors, sampling and thresholds.
        dask: Where to compute: nothing for this process, `local` for a Dask cluster on this
            machine, or the address of a scheduler, tcp://host:8786.
        repeat: Fit again even where an equal fit (same content of the tables, same parameters) is
            in MLflow already. If not set, that fit is returned.
        pictures: Which pictures to draw: `all`, `report` (those of the result and of its checks) or
            `none`, without the gene explorer too. All take longer than the fit of a small screen.

    Raises:
        UserError: The dataset, the filters, the model or `dask` must be changed; no run is begun.
            The flow run ends in the state `Refused`.
        ExternalServiceError: A table, MLflow or the cluster cannot be reached, or memory does not
            suffice; no run is begun.
    """
    try:
        check_cluster(dask, parameters.engine)
        dataset = load_dataset(dataset_file)
        describe_run(
            f"{dataset.name} {dataset.release} {parameters.model}",
            [dataset.name, dataset.release, parameters.model],
        )
        with one_fit_at_a_time(dataset):
            return _fit(dataset, dataset_file, parameters, dask, repeat, pictures)
    except UserError as error:
        return refused_state(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _fit(
    dataset: Dataset,
    dataset_file: str,
    parameters: FitParameters,
    dask: str,
    repeat: bool,
    pictures: Pictures,
) -> FitOutcome:
    stopwatch = Stopwatch()
    validation = validate_dataset(dataset, parameters, stopwatch)

    wait_for_mlflow()
    close_abandoned(dataset.name, is_terminal)
    digest = data_digest(validation.report.tables)
    # A second attempt may find what the first one finished, whatever `repeat` says.
    only_of = this_flow_run() if repeat else ""
    if not repeat or only_of:
        earlier = finished_fit(dataset, fit_key(dataset, digest, parameters), only_of)
        if earlier is not None:
            return reuse_fit(dataset, parameters, earlier)

    screen = prepare_design(dataset, parameters, validation, stopwatch)
    with Progress("preparing the engine"):  # compiled by its first use, which takes half a minute
        cost = describe_cost(screen.design, parameters)
    after = describe_analysis_cost(screen.design, parameters)
    log_info(f"Fitting {parameters.model}: {cost}, then {after}")
    require_memory(needed_bytes(screen.design, parameters), "the fit")
    with managed_run(open_run(dataset, parameters, digest, this_flow_run())) as run:
        with stopwatch.stage("fit"):
            without: WithoutCopyNumber | None = None
            if copy_number_slope(screen.design, parameters):
                log_info(
                    "The model is fitted twice, first without copy number to compare the slopes: "
                    "about twice the expected time"
                )
                # First: of its draws a table is kept, while those of the fit stay in memory.
                without = fit_without_copy_number_task(screen.design, parameters)
            # mypy takes a DataTree for a coroutine: one of its bases is untyped.
            sampled: xr.DataTree = fit_task(screen.design, parameters, dask)  # type: ignore[assignment]
        command = command_for(dataset_file, parameters)
        return track_posterior(
            run, sampled, screen, command, stopwatch, pictures=pictures, without=without
        )

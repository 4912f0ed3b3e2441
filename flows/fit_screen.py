"""The flow that turns one release of a screen into one tracked fit. Only the order of calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import xarray as xr
from prefect import flow
from pydantic import Field

from model.engines import cost
from model.identified import require_identified
from model.verdict import give_verdict
from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.identity import data_digest, fit_key
from schemas.parameters import FitParameters
from tasks.artifacts import FitResults
from tasks.cluster import check_cluster
from tasks.flow_runs import describe_run, is_over, one_at_a_time, publish, refused, this_flow_run
from tasks.progress import tell
from tasks.render_result import result_markdown, reused_markdown
from tasks.render_validation import validation_markdown
from tasks.reproduce import command_for, key_versions
from tasks.steps import (
    checks_task,
    close_abandoned_task,
    complete_task,
    convergence_task,
    effects_task,
    finished_fit_task,
    fit_task,
    fitted_cells_task,
    load_dataset_task,
    model_graph_task,
    open_run_task,
    pictures_task,
    prepare_task,
    report_task,
    summary_task,
    track_task,
    validate_task,
    wait_for_mlflow,
)
from tasks.stopwatch import Stopwatch
from tasks.tracking_run import FitRun, seen_to_its_end, where_to_look
from tasks.validate import InvalidDataset


@dataclass(frozen=True)
class FitOutcome:
    """What a finished fit hands back."""

    run_id: str
    where_to_look: str
    """Command and address that show the run in MLflow."""
    results: FitResults | None
    """None where the fit was there already."""


@flow(name="fit-screen", flow_run_name="{dataset_file} {parameters.model}")
def fit_screen(
    dataset_file: Annotated[str, Field(min_length=1)],
    parameters: FitParameters = FitParameters(),
    dask: str = "",
    repeat: bool = False,
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

    Raises:
        UserError: The dataset, the filters, the model or `dask` must be changed; no run is begun.
            The flow run ends in the state `Refused`.
        EnvironmentTrouble: A table, MLflow or the cluster cannot be reached.
    """
    try:
        check_cluster(dask, parameters.engine)
        dataset = load_dataset_task(dataset_file)
        describe_run(
            f"{dataset.name} {dataset.release} {parameters.model}",
            [dataset.name, dataset.release, parameters.model],
        )
        with one_at_a_time(dataset):
            return _fit(dataset, dataset_file, parameters, dask, repeat)
    except UserError as error:
        return refused(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _fit(
    dataset: Dataset, dataset_file: str, parameters: FitParameters, dask: str, repeat: bool
) -> FitOutcome:
    stopwatch = Stopwatch()
    tell(f"Validating {dataset.name} {dataset.release}")
    with stopwatch.stage("validate"):
        validated = validate_task(dataset, parameters)
    validation = validated.report
    publish(validation_markdown(validation), key="validation")
    if validated.screen is None or validated.statistics is None:
        raise InvalidDataset(validation)

    wait_for_mlflow()
    for run_id in close_abandoned_task(dataset.name, is_over):
        tell(f"The unfinished MLflow run {run_id} was left by a process that died; set KILLED")
    digest = data_digest(validation.tables)
    # A second attempt may find what the first one finished, whatever `repeat` says.
    only_of = this_flow_run() if repeat else ""
    if not repeat or only_of:
        earlier = finished_fit_task(dataset, fit_key(dataset, digest, parameters), only_of)
        if earlier is not None:
            return _there_already(dataset, parameters, earlier)

    with stopwatch.stage("prepare"):
        design, preparation = prepare_task(
            validated.screen, validated.statistics, parameters, dataset.rna_units
        )
    require_identified(parameters.model, design)  # before a run is begun
    tell(f"Fitting {parameters.model}: {cost(design, parameters)}")

    with seen_to_its_end(open_run_task(dataset, parameters, digest, this_flow_run())) as run:
        with stopwatch.stage("fit"):
            # mypy takes a DataTree for a coroutine: one of its bases is untyped.
            sampled: xr.DataTree = fit_task(design, parameters, dask)  # type: ignore[assignment]
        with stopwatch.stage("checks"):
            tree: xr.DataTree = complete_task(sampled, design, parameters)  # type: ignore[assignment]
            summary = summary_task(tree)
            convergence = convergence_task(tree, summary)
            checks = checks_task(tree, design, parameters)
            fell_back = tree.attrs.get("fell_back", "")
            verdict = give_verdict(convergence, checks, parameters, fell_back)
        tell(f"Verdict: {verdict.status}")

        effects = effects_task(tree, design)
        results = FitResults(
            dataset=dataset,
            parameters=parameters,
            validation=validation,
            preparation=preparation,
            convergence=convergence,
            checks=checks,
            verdict=verdict,
            effects=effects,
            fitted_cells=fitted_cells_task(tree, design),
            summary=summary,
            tree=tree,
            design=design,
            figures=pictures_task(tree, design, effects),
            model_graph_svg=model_graph_task(design, parameters),
            seconds=stopwatch.seconds,
        )
        command = command_for(dataset_file, parameters)
        report_html = report_task(results, run.run_id, command, key_versions())
        wait_for_mlflow()
        track_task(run, results, report_html, stopwatch.total)

    where = where_to_look(run)
    publish(result_markdown(results, where), key="result")
    tell(f"Tracked as run {run.run_id}: {where}")
    return FitOutcome(run.run_id, where, results)


def _there_already(dataset: Dataset, parameters: FitParameters, earlier: FitRun) -> FitOutcome:
    where = where_to_look(earlier)
    publish(reused_markdown(dataset, parameters, where), key="result")
    tell(f"This very fit is there already, nothing to do: run {earlier.run_id}: {where}")
    return FitOutcome(earlier.run_id, where, None)

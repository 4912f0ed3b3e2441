"""The flow that turns one release of a screen into one tracked fit. Only the order of calls."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr
from prefect import flow
from prefect.artifacts import create_markdown_artifact

from model.engines import cost
from model.identified import require_identified
from model.verdict import give_verdict
from schemas.parameters import FitParameters
from tasks.artifacts import FitResults
from tasks.cluster import check_cluster
from tasks.progress import tell
from tasks.render_result import result_markdown
from tasks.render_validation import validation_markdown
from tasks.reproduce import command_for, key_versions
from tasks.steps import (
    checks_task,
    complete_task,
    convergence_task,
    effects_task,
    fit_task,
    fitted_cells_task,
    load_dataset_task,
    model_graph_task,
    pictures_task,
    prepare_task,
    report_task,
    summary_task,
    track_task,
    validate_task,
)
from tasks.stopwatch import Stopwatch
from tasks.tracking_run import start_run, where_to_look
from tasks.validate import InvalidDataset


@dataclass(frozen=True)
class FitOutcome:
    """What a finished fit hands back."""

    run_id: str
    where_to_look: str
    """Command and address that show the run in MLflow."""
    results: FitResults


@flow(name="fit-screen", flow_run_name="{dataset_file} {parameters.model}")
def fit_screen(
    dataset_file: str, parameters: FitParameters = FitParameters(), dask: str = ""
) -> FitOutcome:
    """Validate, prepare, fit, diagnose and track one release of a screen.

    Args:
        dataset_file: The dataset file (YAML), a path or an s3:// address.
        parameters: Model, priors, sampling, filters and thresholds.
        dask: Where to compute: nothing for this process, `local` for a Dask cluster on this
            machine, or the address of a scheduler, tcp://host:8786.

    Raises:
        UserError: The dataset, the filters, the model or `dask` must be changed; no run is begun.
        EnvironmentTrouble: A table, MLflow or the cluster cannot be reached.
    """
    check_cluster(dask, parameters.engine)
    stopwatch = Stopwatch()
    dataset = load_dataset_task(dataset_file)

    tell(f"Validating {dataset.name} {dataset.release}")
    with stopwatch.stage("validate"):
        validated = validate_task(dataset, parameters)
    validation = validated.report
    create_markdown_artifact(validation_markdown(validation), key="validation")
    if validated.screen is None or validated.statistics is None:
        raise InvalidDataset(validation)

    with stopwatch.stage("prepare"):
        design, preparation = prepare_task(
            validated.screen, validated.statistics, parameters, dataset.rna_units
        )
    require_identified(parameters.model, design)  # before a run is begun
    tell(f"Fitting {parameters.model}: {cost(design, parameters)}")

    with start_run(dataset, parameters) as run:
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
        track_task(run, results, report_html, stopwatch.total)

    where = where_to_look(run)
    create_markdown_artifact(result_markdown(results, where), key="result")
    tell(f"Tracked as run {run.run_id}")
    return FitOutcome(run.run_id, where, results)

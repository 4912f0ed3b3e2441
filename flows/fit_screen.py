"""The flow that turns one release of a screen into one tracked fit. Only the order of calls."""

from __future__ import annotations

from dataclasses import dataclass

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from tasks.render_result import result_markdown

from model.verdict import give_verdict
from schemas.parameters import FitParameters
from tasks.artifacts import FitResults
from tasks.render_validation import validation_markdown
from tasks.steps import (
    checks_task,
    convergence_task,
    effects_task,
    fit_task,
    load_dataset_task,
    pictures_task,
    prepare_task,
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
def fit_screen(dataset_file: str, parameters: FitParameters = FitParameters()) -> FitOutcome:
    """Validate, prepare, fit, diagnose and track one release of a screen.

    Args:
        dataset_file: The dataset file (YAML), a path or an s3:// address.
        parameters: Model, priors, sampling, filters and thresholds.

    Raises:
        DatasetError, InvalidDataset, PreparationError: The dataset or the filters must be mended.
        StorageError, TrackingError: A table or MLflow cannot be reached.
    """
    log = get_run_logger()
    stopwatch = Stopwatch()
    dataset = load_dataset_task(dataset_file)

    log.info("Validating %s %s", dataset.name, dataset.release)
    with stopwatch.stage("validate"):
        screen = validate_task(dataset, parameters)
    create_markdown_artifact(validation_markdown(screen.report), key="validation")
    if screen.screen is None or screen.statistics is None:
        raise InvalidDataset(screen.report)

    with stopwatch.stage("prepare"):
        design, preparation = prepare_task(
            screen.screen, screen.statistics, parameters, dataset.rna_units
        )
    log.info("Fitting %s to %s", parameters.model, cost(design, parameters))

    with start_run(dataset, parameters) as run:
        with stopwatch.stage("fit"):
            tree = fit_task(design, parameters)
        with stopwatch.stage("checks"):
            convergence = convergence_task(tree)
            checks = checks_task(tree, design, parameters)
            verdict = give_verdict(convergence, checks, parameters)
        log.info("Verdict: %s. %s", verdict.status, " ".join(verdict.reasons))

        effects = effects_task(tree, design)
        figures = pictures_task(tree, design, effects)
        results = FitResults(
            dataset=dataset,
            parameters=parameters,
            validation=screen.report,
            preparation=preparation,
            convergence=convergence,
            checks=checks,
            verdict=verdict,
            effects=effects,
            summary=summary_task(tree),
            tree=tree,
            design=design,
            figures=figures,
            model_graph_svg=model_graph_task(design, parameters),
            seconds=stopwatch.seconds,
            run_id=run.run_id,
            command=command_for(dataset_file, parameters),
            versions=key_versions(),
        )
        track_task(run, results, stopwatch.total)
    where = where_to_look(run)
    create_markdown_artifact(result_markdown(results, where), key="result")
    log.info("Tracked as run %s: %s", run.run_id, where)
    return FitOutcome(run.run_id, where, results)

"""The order of calls of a permutation trial, a part of the flow `calibrate`."""

from __future__ import annotations

from dataclasses import dataclass

from flows.fit_pipeline import prepare_design, validate_dataset
from model.engines.run import needed_bytes, require_engine
from model.simulation.permutation import require_both_kinds
from model.simulation.permutation_verdict import counts_table, summarise_permutations
from schemas.digests import data_digest
from schemas.parameters import FitParameters
from schemas.permutation import PermutationReport, TrialSettings
from tasks.dask_cluster import check_cluster
from tasks.reading.dataset_file import load_dataset
from tasks.reports.permutation import permutation_markdown
from tasks.runtime.memory import require_memory
from tasks.runtime.prefect_runs import describe_run, is_terminal, publish
from tasks.runtime.progress import log_info
from tasks.runtime.stopwatch import Stopwatch
from tasks.steps.fit import wait_for_mlflow
from tasks.steps.permutation import permutations_task
from tasks.tracking.earlier_runs import close_abandoned
from tasks.tracking.permutation import open_trial, track_trial
from tasks.tracking.run import managed_run, run_location


@dataclass(frozen=True)
class TrialOutcome:
    """The result of a trial."""

    run_id: str
    run_location: str
    report: PermutationReport


def permutation_trial(
    dataset_file: str, settings: TrialSettings, parameters: FitParameters, dask: str
) -> TrialOutcome:
    """Validate and prepare a dataset as for a fit, fit permuted screens, and track the counts.

    Raises:
        UserError: The dataset, the filters, the model or `dask` must be changed.
        ExternalServiceError: A table, MLflow or the cluster cannot be reached, or memory does not
            suffice.
    """
    stopwatch = Stopwatch()
    check_cluster(dask, parameters.engine)
    require_engine(parameters)
    dataset = load_dataset(dataset_file)
    describe_run(
        f"calibrate {parameters.model} on {dataset.name} {dataset.release}",
        [dataset.name, dataset.release, parameters.model],
    )
    validation = validate_dataset(dataset, parameters, stopwatch)
    wait_for_mlflow()
    close_abandoned(dataset.name, is_terminal)
    design = prepare_design(dataset, parameters, validation, stopwatch).design
    require_both_kinds(design, settings)
    require_memory(needed_bytes(design, parameters), "the fit of a permuted screen")
    digest = data_digest(validation.report.tables)
    with managed_run(open_trial(dataset, parameters, settings, digest)) as run:
        results = permutations_task(design, parameters, settings, dask)
        report = summarise_permutations(dataset, design, parameters, settings, results)
        log_info(f"Verdict: {report.verdict.status}")
        wait_for_mlflow(fitted=True)
        track_trial(run, report, counts_table(results), stopwatch.total())
    where = run_location(run)
    publish(permutation_markdown(report, where), key="permutation-trial")
    log_info(f"Tracked as run {run.run_id}: {where}")
    return TrialOutcome(run.run_id, where, report)

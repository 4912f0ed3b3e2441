"""Existing runs in MLflow: finished fits to reuse, and runs of dead processes to close."""

from __future__ import annotations

from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.entities import Run

from schemas.dataset import Dataset
from tasks.runtime.progress import log_info
from tasks.tracking.registry import delete_run_versions
from tasks.tracking.run import FitRun
from tasks.tracking.store import newest_runs, tracking_store


def finished_fit(dataset: Dataset, key: str, flow_run: str = "") -> FitRun | None:
    """Return the latest finished fit with this `fit_key` (and `flow_run`, if given), or None.

    Raises TrackingError.
    """
    wanted = f"attributes.status = 'FINISHED' and tags.fit_key = '{key}'"
    if flow_run:
        wanted += f" and tags.flow_run = '{flow_run}'"
    with tracking_store() as (client, uri):
        for run in _search(client, dataset.name, wanted, most=1):
            return FitRun(client, uri, run.info.experiment_id, run.info.run_id, finished=True)
    return None


def latest_fits(dataset_name: str, settings: str) -> list[Run]:
    """Return the latest finished fit of each data digest with these settings, oldest first.

    `settings` is the digest of the parameters. Raises TrackingError.
    """
    wanted = f"attributes.status = 'FINISHED' and tags.parameters_digest = '{settings}'"
    with tracking_store() as (client, _):
        runs = _search(client, dataset_name, wanted)
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.data.tags["data_digest"], run)
    return list(reversed(newest.values()))


def close_abandoned(dataset_name: str, is_terminal: Callable[[str], bool]) -> list[str]:
    """Set unfinished runs of dead processes KILLED; log and return their ids.

    Deletes their versions of the registered model. `dataset_name` is the name of an experiment; all
    kinds of runs in it are closed. `is_terminal` returns whether a Prefect flow run has ended. Runs
    without a flow run are not closed: they may still be active. Raises TrackingError.
    """
    closed = []
    with tracking_store() as (client, _):
        for run in _search(client, dataset_name, "attributes.status = 'RUNNING'"):
            flow_run = run.data.tags.get("flow_run")
            if flow_run and is_terminal(flow_run):
                delete_run_versions(client, dataset_name, run.info.run_id)
                reason = f"its process died; left unfinished by flow run {flow_run}"
                client.set_tag(run.info.run_id, "failure", reason)
                client.set_terminated(run.info.run_id, "KILLED")
                closed.append(run.info.run_id)
    for run_id in closed:
        log_info(f"The process of MLflow run {run_id} died; the run is set KILLED")
    return closed


def _search(client: MlflowClient, dataset_name: str, wanted: str, most: int = 1000) -> list[Run]:
    """Return the runs of a dataset's experiment, newest first."""
    experiment = client.get_experiment_by_name(dataset_name)
    if experiment is None:
        return []
    return newest_runs(client, [experiment.experiment_id], wanted, most)

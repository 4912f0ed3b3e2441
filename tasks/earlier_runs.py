"""Fits that MLflow holds already: the finished one of the same key, and those their process left.

How a run is made and ended is `tasks.tracking_run`; what it holds is `tasks.track`.
"""

from __future__ import annotations

from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.entities import Run

from schemas.dataset import Dataset
from tasks.progress import tell
from tasks.registry import withdraw
from tasks.tracking_run import FitRun, connect, newest_runs, tracking_errors, tracking_uri


def finished_fit(dataset: Dataset, key: str, flow_run: str = "") -> FitRun | None:
    """Return the latest finished fit with this `fit_key`; with `flow_run`, only one made by it.

    Raises TrackingError where MLflow cannot be asked.
    """
    wanted = f"attributes.status = 'FINISHED' and tags.fit_key = '{key}'"
    if flow_run:
        wanted += f" and tags.flow_run = '{flow_run}'"
    uri = tracking_uri()
    with tracking_errors(uri):
        client = connect(uri)
        for run in _search(client, dataset.name, wanted, most=1):
            return FitRun(client, uri, run.info.experiment_id, run.info.run_id, finished=True)
    return None


def latest_fits(dataset_name: str, settings: str) -> list[Run]:
    """Return the latest finished fit of each content with these settings, the oldest first.

    `settings` is the digest of the parameters. Raises TrackingError.
    """
    wanted = f"attributes.status = 'FINISHED' and tags.parameters_digest = '{settings}'"
    uri = tracking_uri()
    with tracking_errors(uri):
        runs = _search(connect(uri), dataset_name, wanted)
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.data.tags["data_digest"], run)
    return list(reversed(newest.values()))


def close_abandoned(dataset_name: str, is_over: Callable[[str], bool]) -> list[str]:
    """Set KILLED the runs whose process died with them unfinished; name and return them.

    A version of the registered model that such a run has left is deleted.

    `dataset_name` is that of an experiment; runs of all kinds in it are asked for. `is_over` says
    of a Prefect flow run whether nobody works at it any more. Runs that no flow run on a server
    made are left alone: nobody can tell whether they are still being filled. Raises TrackingError.
    """
    uri = tracking_uri()
    closed = []
    with tracking_errors(uri):
        client = connect(uri)
        for run in _search(client, dataset_name, "attributes.status = 'RUNNING'"):
            flow_run = run.data.tags.get("flow_run")
            if flow_run and is_over(flow_run):
                withdraw(client, dataset_name, run.info.run_id)
                reason = f"its process died; left unfinished by flow run {flow_run}"
                client.set_tag(run.info.run_id, "failure", reason)
                client.set_terminated(run.info.run_id, "KILLED")
                closed.append(run.info.run_id)
    for run_id in closed:
        tell(f"The unfinished MLflow run {run_id} was left by a process that died; set KILLED")
    return closed


def _search(client: MlflowClient, dataset_name: str, wanted: str, most: int = 1000) -> list[Run]:
    """Return the runs of a dataset's experiment, the newest first."""
    experiment = client.get_experiment_by_name(dataset_name)
    if experiment is None:
        return []
    return newest_runs(client, [experiment.experiment_id], wanted, most)

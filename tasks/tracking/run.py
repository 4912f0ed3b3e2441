"""The life cycle of an MLflow run: store, experiment, status, errors.

Runs are accessed by `MlflowClient` and id. The `mlflow.log_*` functions keep the active run per
thread, and create stray runs when a task starts in another thread.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.file_utils import local_file_uri_to_path

from schemas.dataset import Dataset
from schemas.digests import fit_key, parameters_digest, trace_key
from schemas.errors import ExternalServiceError, was_interrupted
from schemas.parameters import FitParameters
from tasks.tracking.store import (
    TrackingError,
    experiment_of,
    params_of,
    tracking_errors,
    tracking_store,
    where_to_find,
    without_password,
)
from tasks.tracking.ui import describe_experiment

if TYPE_CHECKING:  # spares refresh_releases the import of xarray
    from schemas.trace import TraceOrigin

LONGEST_FAILURE = 250
"""Longest text of the tag `failure`."""

log = logging.getLogger(__name__)


class RunReassigned(ExternalServiceError):
    """The run was closed by another process while in use."""


@dataclass
class FitRun:
    """An open run in MLflow."""

    client: MlflowClient
    uri: str = field(repr=False)
    """Tracking store: address of a server or a database; may contain a password."""
    experiment_id: str
    run_id: str
    finished: bool = False

    def require_open(self) -> None:
        """Raise RunReassigned if this process was taken for dead and its run closed.

        Its fit has been restarted then, and must not finish twice.
        """
        info = self.client.get_run(self.run_id).info
        if info.status != "RUNNING":
            raise RunReassigned(
                f"the MLflow run {self.run_id} has been set {info.status} from outside: this "
                "process was taken for dead, and its fit restarted; nothing to do"
            )

    def finish(self) -> None:
        """Set a complete run FINISHED; raise RunReassigned."""
        self.require_open()
        self.client.set_terminated(self.run_id, "FINISHED")
        self.finished = True


def open_run(
    dataset: Dataset,
    parameters: FitParameters,
    digest: str,
    flow_run: str = "",
    origin: TraceOrigin | None = None,
) -> FitRun:
    """Create a run of the experiment named after the dataset, with its tags and parameters.

    `digest` is that of the content of the tables, `flow_run` the id of the Prefect flow run, and
    `origin` the source of imported draws. Raises TrackingError.
    """
    with tracking_store() as (client, uri):
        experiment_id = experiment_of(client, dataset.name, uri)
        describe_experiment(client, experiment_id)
        created = client.create_run(
            experiment_id,
            run_name=run_name(dataset, parameters.model, parameters.engine, origin),
            tags=resolve_tags(
                {
                    "dataset": dataset.name,
                    "release": dataset.release,
                    "library": dataset.library,
                    "model": parameters.model,
                    "engine": parameters.engine,
                    "code_version": code_version(),
                    "data_digest": digest,
                    **_identity(dataset, digest, parameters, origin),
                    **({"flow_run": flow_run} if flow_run else {}),
                }
            ),
        )
        known = parameters.flat() if origin is None else origin.known(parameters)
        client.log_batch(created.info.run_id, params=params_of(known))
    return FitRun(client, uri, experiment_id, created.info.run_id)


@contextmanager
def managed_run(run: FitRun) -> Iterator[FitRun]:
    """Yield a run, and close it if the block leaves it unfinished.

    Sets it FAILED, with the reason as tag `failure`, if the block raises or does not finish it;
    KILLED on Ctrl-C or another interrupt.
    """
    try:
        yield run
    except RunReassigned:
        raise  # already closed
    except Exception as error:
        if was_interrupted(error):
            _end(run, "KILLED", "KeyboardInterrupt")
        else:
            _end(run, "FAILED", f"{type(error).__name__}: {error}")
        raise
    except BaseException as stop:
        _end(run, "KILLED", type(stop).__name__)
        raise
    _end(run, "FAILED", "the fit ended without results")


def _identity(
    dataset: Dataset, digest: str, parameters: FitParameters, origin: TraceOrigin | None
) -> dict[str, str]:
    """Return the tags that identify a fit; those of an imported one match no other fit."""
    if origin is None:
        return {
            "parameters_digest": parameters_digest(parameters),
            "fit_key": fit_key(dataset, digest, parameters),
        }
    return {
        "fit_key": trace_key(dataset, digest, parameters, origin.sha256),
        "imported_from": origin.imported_from,
        "trace_digest": origin.sha256,
    }


def run_name(dataset: Dataset, model: str, engine: str, origin: TraceOrigin | None = None) -> str:
    """Return the name of a run."""
    sampled_by = f" ({origin.imported_from})" if origin else ""
    return f"{dataset.release} {model} {engine}{sampled_by}"


def run_location(run: FitRun) -> str:
    """Return the address of the page of a run, after the command that serves it, if needed."""
    return where_to_find(run.uri, run.experiment_id, run.run_id)


def code_version() -> str:
    """Return the version of the distribution, with the commit in a checkout."""
    released = version("screenbayes")
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return released
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return released
    return f"{released}+{commit.stdout.strip()}"


def metrics_of(values: Mapping[str, float]) -> list[Metric]:
    """Return values as metrics with the current time.

    NaN is kept: MLflow displays it, and searches with a limit do not match it.
    """
    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, 0) for name, value in values.items()]


def _end(run: FitRun, status: str, reason: str) -> None:
    """Close an unfinished run; an error in doing so must not hide what ended it."""
    if run.finished:
        return
    line = " ".join(without_password(reason).split())[:LONGEST_FAILURE]

    def write_status() -> None:
        with tracking_errors(run.uri):
            run.client.set_tag(run.run_id, "failure", line)
            run.client.set_terminated(run.run_id, status)

    try:
        try:
            write_status()
        except TrackingError:
            if not _make_room(run):
                raise
            write_status()
    except TrackingError as error:
        log.warning("run %s could not be set %s: %s", run.run_id, status, error)


def _make_room(run: FitRun) -> bool:
    """Delete the local artifacts of an unfinished run, to free a full disk; return whether any."""
    with tracking_errors(run.uri):
        place = run.client.get_run(run.run_id).info.artifact_uri
    if not place.startswith(("file:", "/")):
        return False
    folder = Path(local_file_uri_to_path(place))
    if not folder.is_dir():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True

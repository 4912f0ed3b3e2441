"""The MLflow store: its address, one client for it, and its errors in plain words."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import requests
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Param, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from schemas.errors import ExternalServiceError, UserError, was_interrupted
from schemas.formatting import cut_list
from tasks.tracking.errors import describe_mlflow_error
from tasks.tracking.location import STORE_FILE, is_file, nearest_store
from tasks.tracking.ui import TRAINING_PAGES

SERVER_PATIENCE = 5.0
"""Seconds to wait for a connection to the server, and for its answer."""


LONGEST_PARAM = 6000
"""Characters of a parameter that MLflow keeps; it cuts longer ones without a word."""


class TrackingError(ExternalServiceError):
    """MLflow cannot be reached, or an operation failed."""


class NoStore(UserError):
    """There is no store to read from."""


class NoSuchFit(UserError):
    """The run does not exist, or is not a finished fit."""


def params_of(settings: Mapping[str, object]) -> list[Param]:
    """Return settings as parameters of a run, long lists cut after a whole item."""
    return [Param(name, cut_list(str(value), LONGEST_PARAM)) for name, value in settings.items()]


class Store(NamedTuple):
    """An open store."""

    client: MlflowClient
    uri: str
    """Address of a server or a database; may contain a password."""


@contextmanager
def tracking_store() -> Iterator[Store]:
    """Open the store of `tracking_uri`; errors of MLflow in the block become TrackingError."""
    uri = tracking_uri()
    with tracking_errors(uri):
        yield Store(connect(uri), uri)


@contextmanager
def existing_store() -> Iterator[Store]:
    """Open the store as `tracking_store` does; raise NoStore instead of creating one."""
    uri = tracking_uri()
    # MLflow creates a missing database as soon as it is asked for anything.
    if uri.startswith("sqlite:") and (file := make_url(uri).database) and not is_file(Path(file)):
        if os.environ.get("MLFLOW_TRACKING_URI"):
            raise NoStore(
                f"expected a store with fits at MLFLOW_TRACKING_URI, there is no {file}; correct "
                "the variable, or unset it to use the nearest mlflow.db"
            )
        raise NoStore(
            f"expected a store with fits, there is no {STORE_FILE} in {Path.cwd()} or above it; "
            "change to the folder of the fits, or set MLFLOW_TRACKING_URI; `screenbayes fit` "
            "creates a store"
        )
    with tracking_store() as store:
        yield store


def tracking_uri() -> str:
    """Return the address of the store: MLFLOW_TRACKING_URI, else that of `nearest_store`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{nearest_store()}"


@contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Check that the store answers, and convert errors of MLflow in the block to TrackingError."""
    require_answer(uri)
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if was_interrupted(error):
            raise
        problem = without_password(describe_mlflow_error(error, at_server=uri.startswith("http")))
        # From None: a traceback would show the password.
        raise TrackingError(f"MLflow at {without_password(uri)}: {problem}") from None


def require_answer(uri: str) -> None:
    """Raise TrackingError if `uri` is a silent server; MLflow would retry for four minutes."""
    if not uri.startswith("http"):
        return
    problem = ""
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=SERVER_PATIENCE)
        if answer.status_code >= 500:
            problem = f"HTTP {answer.status_code}"
    except requests.exceptions.SSLError:
        pass  # it answers; MLflow has its own setting of certificates
    except requests.RequestException as error:
        problem = type(error).__name__
    if problem:
        raise TrackingError(
            f"the MLflow server at {without_password(uri)} does not answer ({problem}); start it, "
            "correct MLFLOW_TRACKING_URI, or unset it to keep runs in ./mlflow.db"
        )


def connect(uri: str) -> MlflowClient:
    """Return a client; a new SQLite store is initialised first."""
    if uri.startswith("sqlite:"):
        # Without a lock, processes that migrate a new store concurrently fail.
        with FileLock(f"{make_url(uri).database}.lock", timeout=60):
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
        return client
    return MlflowClient(uri)


def newest_runs(
    client: MlflowClient, experiment_ids: Sequence[str], wanted: str, most: int = 1000
) -> list[Run]:
    """Return the runs of experiments that match an MLflow filter string, newest first."""
    order = ["attributes.start_time DESC"]
    return list(client.search_runs(list(experiment_ids), wanted, ViewType.ACTIVE_ONLY, most, order))


def experiment_of(client: MlflowClient, name: str, uri: str) -> str:
    """Return the id of an experiment, created if necessary; safe in concurrent processes."""
    try:
        return client.create_experiment(name, _artifact_location(name, uri))
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"experiment {name!r} in MLflow at {without_password(uri)} has been deleted; run "
            f"`mlflow experiments restore -x {experiment.experiment_id}`, or rename the "
            "dataset"
        )
    return experiment.experiment_id


def _artifact_location(name: str, uri: str) -> str | None:
    """Return where files of an experiment go: beside the nearest store; None for the default.

    The default of a SQLite store is the working folder, which may be below that of the store.
    """
    if os.environ.get("MLFLOW_TRACKING_URI") or _is_here(uri):
        return None
    return str(nearest_store().with_name("mlruns") / name)


def _is_here(uri: str) -> bool:
    """Return whether a store is the one of the working folder, which `mlflow ui` opens there."""
    return uri == f"sqlite:///{Path(STORE_FILE).resolve()}"


def where_to_find(uri: str, experiment_id: str, run_id: str) -> str:
    """Return the same for any run of the store at `uri`."""
    page = f"/#/experiments/{experiment_id}/runs/{run_id}?{TRAINING_PAGES}"
    if uri.startswith("http"):
        # Browsers may use another address of the server than workers.
        server = os.environ.get("SCREENBAYES_MLFLOW_UI") or without_password(uri)
        return server.rstrip("/") + page
    command = f"{_mlflow()} ui"
    if not _is_here(uri):
        command += f" --backend-store-uri {shlex.quote(without_password(uri))}"
    return f"{command}   and open   http://127.0.0.1:5000{page}"


def _mlflow() -> str:
    """Return the command of this environment's mlflow: its name if it is on the path."""
    ours = Path(sys.executable).with_name("mlflow")
    if shutil.which("mlflow") == str(ours) or not ours.exists():
        return "mlflow"
    shortest = ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours
    return shlex.quote(str(shortest))


def without_password(text: str) -> str:
    """Return the text with `***` instead of user and password in addresses."""
    # Up to the last @: a password may contain one.
    return re.sub(r"//[^/\s]*@", "//***@", text)

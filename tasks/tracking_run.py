"""The MLflow run of a fit from start to end: store, experiment, status.

What the run holds is in `tasks.track`.

Runs are reached through `MlflowClient` and their id alone. MLflow's `mlflow.log_*` functions keep
the active run in the thread, and leave stray runs behind where a task is started in another one.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.file_utils import local_file_uri_to_path
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from schemas.dataset import Dataset
from schemas.errors import EnvironmentTrouble, was_interrupted
from schemas.identity import fit_key, parameters_digest, trace_key
from schemas.parameters import FitParameters
from tasks.front_page import TRAINING_PAGES, describe_experiment
from tasks.tracking_trouble import in_words

if TYPE_CHECKING:  # a look at the releases does without the xarray it would load
    from schemas.trace import TraceOrigin

SERVER_PATIENCE = 5.0
"""Seconds to wait for a connection to the server, and again for its answer."""
LONGEST_FAILURE = 250
"""Characters of the tag that says why a run failed."""

log = logging.getLogger(__name__)


class TrackingError(EnvironmentTrouble):
    """MLflow cannot be reached or refuses: says which store, what happened, what to do."""


class TakenOver(EnvironmentTrouble):
    """A run that was closed by somebody else while it was being filled."""


@dataclass
class FitRun:
    """A run in MLflow that is being filled."""

    client: MlflowClient
    uri: str = field(repr=False)
    """Tracking store: address of a server or of a database; may hold a password."""
    experiment_id: str
    run_id: str
    finished: bool = False

    def require_open(self) -> None:
        """Raise TakenOver where somebody took this process for dead and closed its run.

        The fit has been begun anew then, and there must not be two.
        """
        info = self.client.get_run(self.run_id).info
        if info.status != "RUNNING":
            raise TakenOver(
                f"the MLflow run {self.run_id} has been set {info.status} from outside: this "
                "process was taken for dead, and its fit given to another; nothing to do"
            )

    def finish(self) -> None:
        """Set the run FINISHED; only for a run that holds all it should. Raises TakenOver."""
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

    `digest` is of the content of the tables; `flow_run` the id of the Prefect flow run, if any;
    `origin` where the draws come from, if they were not sampled here.
    Raises TrackingError where the run cannot be created.
    """
    uri = tracking_uri()
    with tracking_errors(uri):
        client = connect(uri)
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
        settings = [Param(name, str(value)) for name, value in known.items()]
        client.log_batch(created.info.run_id, params=settings)
    return FitRun(client, uri, experiment_id, created.info.run_id)


@contextmanager
def seen_to_its_end(run: FitRun) -> Iterator[FitRun]:
    """See to the end of a run, whatever the block does.

    The run ends FAILED, with the reason as tag `failure`, if the block raises or leaves the run
    unfinished; KILLED on Ctrl-C or any other stop from outside.
    """
    try:
        yield run
    except TakenOver:
        raise  # who took it over has closed it
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
    """Return the tags by which a fit is found again; an imported one is none of those made here."""
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
    """Return what a run is called in the tables of MLflow."""
    sampled_by = f" ({origin.imported_from})" if origin else ""
    return f"{dataset.release} {model} {engine}{sampled_by}"


@contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Make sure that the store answers; turn what MLflow raises in the block into TrackingError."""
    require_answer(uri)
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if was_interrupted(error):
            raise
        trouble = without_password(in_words(error, at_server=uri.startswith("http")))
        # From None: a traceback would show the password.
        raise TrackingError(f"MLflow at {without_password(uri)}: {trouble}") from None


def where_to_look(run: FitRun) -> str:
    """Return the address that shows the run, and before it the command that serves it, if any."""
    return where_to_find(run.uri, run.experiment_id, run.run_id)


def where_to_find(uri: str, experiment_id: str, run_id: str) -> str:
    """Return the same of any run of the store at `uri`."""
    page = f"/#/experiments/{experiment_id}/runs/{run_id}?{TRAINING_PAGES}"
    if uri.startswith("http"):
        # Browsers may know the server by another name than workers do.
        server = os.environ.get("SCREENBAYES_MLFLOW_UI") or without_password(uri)
        return server.rstrip("/") + page
    command = f"{_mlflow()} ui"
    if uri != _default_uri():
        command += f" --backend-store-uri {shlex.quote(without_password(uri))}"
    return f"{command}   and open   http://127.0.0.1:5000{page}"


def _mlflow() -> str:
    """Return how to call this environment's mlflow from here: by name if it is on the path."""
    ours = Path(sys.executable).with_name("mlflow")
    if shutil.which("mlflow") == str(ours) or not ours.exists():
        return "mlflow"
    shortest = ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours
    return shlex.quote(str(shortest))


def without_password(text: str) -> str:
    """Return the text with `***` in place of user and password in addresses."""
    # Up to the last @: a password may hold one.
    return re.sub(r"//[^/\s]*@", "//***@", text)


def code_version() -> str:
    """Return the version of the distribution, and the commit where it runs from a checkout."""
    released = version("screenbayes")
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return released
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return released
    return f"{released}+{commit.stdout.strip()}"


def connect(uri: str) -> MlflowClient:
    """Return a client; a fresh SQLite store is made ready first."""
    if uri.startswith("sqlite:"):
        # Four processes on a fresh store run its migrations at once, and three of them die.
        with FileLock(f"{make_url(uri).database}.lock", timeout=60):
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
        return client
    return MlflowClient(uri)


def metrics_of(values: Mapping[str, float]) -> list[Metric]:
    """Return values as metrics of now.

    NaN is logged as it is: MLflow shows it, and no search for a limit on it finds the run.
    """
    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, 0) for name, value in values.items()]


def newest_runs(
    client: MlflowClient, experiment_ids: Sequence[str], wanted: str, most: int = 1000
) -> list[Run]:
    """Return the runs of experiments that a search in MLflow's words finds, the newest first."""
    order = ["attributes.start_time DESC"]
    return list(client.search_runs(list(experiment_ids), wanted, ViewType.ACTIVE_ONLY, most, order))


def require_answer(uri: str) -> None:
    """Raise TrackingError if `uri` is a silent server; MLflow alone would try for four minutes."""
    if not uri.startswith("http"):
        return
    trouble = ""
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=SERVER_PATIENCE)
        if answer.status_code >= 500:
            trouble = f"HTTP {answer.status_code}"
    except requests.exceptions.SSLError:
        pass  # it answers; which certificates to trust is a setting of MLflow
    except requests.RequestException as error:
        trouble = type(error).__name__
    if trouble:
        raise TrackingError(
            f"the MLflow server at {without_password(uri)} does not answer ({trouble}); start it, "
            "correct MLFLOW_TRACKING_URI, or unset it to keep runs in ./mlflow.db"
        )


def experiment_of(client: MlflowClient, name: str, uri: str) -> str:
    """Id of the experiment of that name; made first and asked for then, as others may make it."""
    try:
        return client.create_experiment(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"experiment {name!r} in MLflow at {without_password(uri)} has been deleted; run "
            f"`mlflow experiments restore -x {experiment.experiment_id}`, or name the dataset "
            "otherwise"
        )
    return experiment.experiment_id


def _end(run: FitRun, status: str, reason: str) -> None:
    """Close an unfinished run; trouble with that must not hide what ended it."""
    if run.finished:
        return
    line = " ".join(without_password(reason).split())[:LONGEST_FAILURE]

    def say_so() -> None:
        with tracking_errors(run.uri):
            run.client.set_tag(run.run_id, "failure", line)
            run.client.set_terminated(run.run_id, status)

    try:
        try:
            say_so()
        except TrackingError:
            if not _make_room(run):
                raise
            say_so()
    except TrackingError as error:
        log.warning("run %s could not be set %s: %s", run.run_id, status, error)


def _make_room(run: FitRun) -> bool:
    """Remove what an unfinished run holds on a disk of ours: half of it, on a disk that is full."""
    with tracking_errors(run.uri):
        place = run.client.get_run(run.run_id).info.artifact_uri
    if not place.startswith(("file:", "/")):
        return False
    folder = Path(local_file_uri_to_path(place))
    if not folder.is_dir():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def tracking_uri() -> str:
    """Return the store of MLFLOW_TRACKING_URI, or `mlflow.db` in the working folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _default_uri()


def _default_uri() -> str:
    """Where plain `mlflow ui` looks; MLflow's own default is elsewhere if the path has a space."""
    return f"sqlite:///{Path('mlflow.db').resolve()}"

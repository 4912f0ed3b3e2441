"""Prefect and MLflow: servers that are dead or others; stores damaged, locked, deleted."""

import os
import shutil
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)

from deployments.server import preflight as prefect_ready
from tasks.tracking import store as mlflow_store
from tests.faults.catalogue import Area, marks, variants
from tests.faults.commands import AT_A_TERMINAL, LONG, QUICK, kept_in
from tests.faults.disks import full_disk, held, read_only
from tests.faults.fake_servers import LOGIN_PAGE, answering, closed_port, silent
from tests.integration import processes
from tests.integration.runs import runs_in

pytestmark = [pytest.mark.integration]

EXPORT = ("export", "latest", "--out", "out")


done, _, trouble = marks(Area.SERVERS)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Wait for a second where the product waits for several."""
    monkeypatch.setattr(mlflow_store, "SERVER_PATIENCE", 1.0)
    monkeypatch.setattr(prefect_ready, "SERVER_PATIENCE", 1.0)
    monkeypatch.setattr(prefect_ready, "DATABASE_PATIENCE", 1.0)


def dead():
    return nullcontext(closed_port())


def answer(status: int, body: str = "refused"):
    return lambda: answering(status, body)


def overwritten(home: Path):
    (home / "prefect.db").write_bytes(b"not a database\n" * 1000)
    return nullcontext()


def of_version(path: Path, version: str) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        store.execute(f"UPDATE alembic_version SET version_num = '{version}'")


MLFLOW, PREFECT = "MLFLOW_TRACKING_URI", "PREFECT_API_URL"
# fmt: off
SERVERS = (
    (trouble("no server at the address", "does not answer"), (
        (MLFLOW, dead, "(ConnectionError)"), (PREFECT, dead))),
    (trouble("a server hangs", "does not answer"), (
        (MLFLOW, silent, "(ReadTimeout)"), (PREFECT, silent))),
    (trouble("a server always fails", "HTTP 500"), (
        (MLFLOW, answer(500)), (PREFECT, answer(500)))),
    (trouble("another server answers", "is not a"), (
        (MLFLOW, answer(404), "is not an MLflow server"),
        (MLFLOW, answer(200, LOGIN_PAGE), "is not an MLflow server"),
        (PREFECT, answer(404), "is not a Prefect server"),
        (PREFECT, answer(200, LOGIN_PAGE), "is not a Prefect server"))),
    (trouble("a server rejects the user", "not let this user in"), (
        (MLFLOW, answer(401), "MLFLOW_TRACKING_USERNAME"), (MLFLOW, answer(403)),
        (PREFECT, answer(401, "{}"), "PREFECT_API_AUTH"))),
)
HOMES = (
    (trouble("`PREFECT_HOME` is unusable", "embedded server", "PREFECT_HOME"), (
        (read_only,), (full_disk,), (overwritten,), (lambda home: held(home / "prefect.db"),))),
)
STORES = (
    (trouble("mlflow.db is damaged", "mlflow.db", "damaged", "backup"), (
        (lambda path: path.write_bytes(b"not a database\n" * 1000),),
        (lambda path: path.write_bytes(path.read_bytes()[:4096].ljust(400_000, b"\xff")),),
        (lambda path: os.truncate(path, path.stat().st_size // 3),))),
    (trouble("mlflow.db is of another MLflow version", "mlflow.db", "another version of MLflow",
             "mlflow db upgrade"), (
        (lambda path: of_version(path, "ffffffffffff"),),
        (lambda path: of_version(path, "0584bdc529eb"),))),
)
# fmt: on


@pytest.mark.parametrize(("variable", "server", "told"), variants(SERVERS, 2))
def test_a_server_that_cannot_be_used(variable, server, told, screen, command):
    with server() as address:
        if variable == MLFLOW:
            command(*EXPORT, told=(variable, address, *told), MLFLOW_TRACKING_URI=address)
        else:
            with temporary_settings({PREFECT_API_URL: f"{address}/api"}):
                command("fit", screen, *QUICK, told=(variable, address, *told))


@trouble("MLFLOW_TRACKING_URI names the Prefect server", "is not an MLflow server")
def test_a_fit_begins_where_its_run_can_be_kept(prefect_server, screen, command):
    address = str(PREFECT_API_URL.value()).removesuffix("/api")
    ended = command("fit", screen, *QUICK, told=(MLFLOW,), MLFLOW_TRACKING_URI=address)
    assert "Fitting" not in ended.err


@pytest.mark.parametrize(("spoil", "told"), variants(HOMES))
def test_a_home_of_prefect_that_cannot_be_used(spoil, told, tmp_path, screen, command):
    (tmp_path / "home").mkdir()
    home = {PREFECT_HOME: str(tmp_path / "home")}
    # The server that the tests of this process share has set both.
    elsewhere = {PREFECT_API_URL, PREFECT_API_DATABASE_CONNECTION_URL}
    with spoil(tmp_path / "home"), temporary_settings(home, restore_defaults=elsewhere):
        command("fit", screen, *QUICK, told=told)


@pytest.fixture
def store(stored_run, folder) -> Path:
    """A store that holds a run, as mlflow.db of the working folder."""
    (folder / "mlflow.db.lock").touch()
    return Path(shutil.copy(stored_run[0], folder))


@pytest.mark.parametrize(("spoil", "told"), variants(STORES))
def test_a_store_that_cannot_be_used(spoil, told, store, command):
    spoil(store)
    command(*EXPORT, told=told)


@trouble("mlflow.db is locked", "mlflow.db")
def test_a_locked_store(store, command):
    with held(store):
        command(*EXPORT, told=("another process has locked it",))


@trouble("the dataset's experiment was deleted", "has been deleted",
    "mlflow experiments restore -x", left="no new run")  # fmt: skip
def test_a_deleted_experiment(store, prefect_server, screen, command):
    client = MlflowClient(f"sqlite:///{store}")
    experiment = client.create_experiment("simulated-screen")
    client.delete_experiment(experiment)
    command("fit", screen, *QUICK, told=("rename the dataset",))
    assert not client.search_runs([experiment], run_view_type=3)


@pytest.mark.slow
@trouble("the run is deleted during its fit", "was deleted", "the results are kept in",
    left="the results, at the location printed")  # fmt: skip
def test_a_run_that_is_deleted(forked, screen):
    process = forked.begin("fit", screen, *QUICK)
    forked.wait_for(process, "Verdict")
    (run,) = runs_in(forked.folder)
    MlflowClient(f"sqlite:///{forked.folder / 'mlflow.db'}").delete_run(run.info.run_id)
    shutil.rmtree(kept_in(forked.end(process)))
    assert not runs_in(forked.folder)


@pytest.mark.slow
@done("the MLflow or Prefect server is killed during a fit", left="one FINISHED run")
@pytest.mark.parametrize("name", [MLFLOW, PREFECT])
def test_a_server_that_comes_back(name, forked, screen):
    port, folder = processes.free_port(), forked.folder
    address = f"http://127.0.0.1:{port}{'/api' if name == PREFECT else ''}"
    if name == MLFLOW:
        store, files = f"sqlite:///{folder}/mlflow.db", str(folder / "files")
        server = processes.mlflow_server(folder, port, store, files, {})
    else:
        server = processes.prefect_server(folder, port, f"sqlite+aiosqlite:///{folder}/prefect.db")
    try:
        process = forked.begin("fit", screen, *LONG, **AT_A_TERMINAL, **{name: address})
        forked.wait_for(process, r"\bfitting\b")  # the run is open, and nobody is asked now
        server.kill()
        if name == MLFLOW:
            forked.wait_for(process, "does not answer")
        server.start_again()
        assert "logging to API" not in forked.end(process, told=("Tracked as run",)).err
    finally:
        server.stop()
    assert [run.info.status for run in runs_in(folder)] == ["FINISHED"]

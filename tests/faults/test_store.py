"""MLflow's own SQLite store: locked, damaged, of another version, made by several at once."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from deployments.exit_codes import TROUBLE
from tests.faults.catalogue import Area, fault
from tests.faults.commands import Command, kept_in
from tests.faults.disks import held
from tests.integration.runs import runs_in

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def overwrite(path: Path) -> None:
    path.write_bytes(b"not a database\n" * 1000)


def overwrite_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 8192))


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)


def of_later(path: Path) -> None:
    sqlite(path, "UPDATE alembic_version SET version_num = 'ffffffffffff'")


def of_earlier(path: Path) -> None:
    sqlite(path, "UPDATE alembic_version SET version_num = '0584bdc529eb'")


def sqlite(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as store:
        store.execute(statement)
    store.close()


SPOILED = (
    ("is no database", "overwritten with text", overwrite, ("damaged", "backup")),
    ("is damaged", "overwritten from its second page on", overwrite_the_middle, ("damaged",)),
    ("has lost its end", "cut to a third", cut, ("damaged", "backup")),
    (
        "was made by a later MLflow",
        "another version in its table of versions",
        of_later,
        ("another version of MLflow",),
    ),
    (
        "was made by an earlier MLflow",
        "an early version in its table of versions",
        of_earlier,
        ("another version of MLflow", "mlflow db upgrade"),
    ),
)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            spoil,
            marks=fault(
                Area.SERVERS,
                f"mlflow.db {what}",
                made=made,
                code=TROUBLE,
                told=("mlflow.db", *told),
                left="mlflow.db as it was",
            ),
            id=what,
        )
        for what, made, spoil, told in SPOILED
    ],
)
def test_a_store_that_cannot_be_used(
    begun: Command,
    screen: Path,
    stored_run: tuple[str, str],
    spoil: Callable[[Path], None],
) -> None:
    path = copied(stored_run, begun.folder)
    spoil(path)
    before = path.read_bytes()
    begun("fit", screen, "--draws", "100")
    assert path.read_bytes() == before


@fault(
    Area.SERVERS,
    "another process holds mlflow.db",
    made="BEGIN EXCLUSIVE in another process, for longer than SQLite waits",
    code=TROUBLE,
    told=("mlflow.db", "another process", "is using it"),
    left="mlflow.db as it was",
)
def test_a_locked_store(begun: Command, screen: Path, stored_run: tuple[str, str]) -> None:
    path = copied(stored_run, begun.folder)
    before = path.read_bytes()
    with held(path):
        begun("fit", screen, "--draws", "100")
    assert path.read_bytes() == before


@fault(
    Area.SERVERS,
    "the experiment of the dataset was deleted in MLflow",
    made="deleted in the store, which keeps its name",
    code=TROUBLE,
    told=("has been deleted", "mlflow experiments restore -x", "name the dataset otherwise"),
    left="no run in the deleted experiment",
)
def test_a_deleted_experiment(begun: Command, screen: Path, stored_run: tuple[str, str]) -> None:
    path = copied(stored_run, begun.folder)
    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.create_experiment("simulated-screen")
    client.delete_experiment(experiment)
    begun("fit", screen, "--draws", "100")
    assert not client.search_runs([experiment], run_view_type=3)


@fault(
    Area.SERVERS,
    "the run is deleted in MLflow during its fit",
    made="deleted through MLflow's client while the engine is at work",
    code=TROUBLE,
    told=("was deleted", "the results are kept in"),
    left="the results, where the message says; the run deleted",
)
def test_a_run_that_is_deleted(begun: Command, screen: Path) -> None:
    process = begun.begin("fit", screen, "--draws", "100")
    begun.wait_for(process, "Verdict")
    (run,) = runs_in(begun.folder)
    MlflowClient(f"sqlite:///{begun.folder / 'mlflow.db'}").delete_run(run.info.run_id)
    shutil.rmtree(kept_in(begun.end(process)))
    assert not runs_in(begun.folder)


def copied(stored_run: tuple[str, str], folder: Path) -> Path:
    """Copy a store that holds a run into a folder, as its mlflow.db."""
    path = folder / "mlflow.db"
    shutil.copy(stored_run[0].removeprefix("sqlite:///"), path)
    return path

"""Servers that are killed while a command is running, and started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.exit_codes import DONE
from tests.faults.catalogue import Area, fault
from tests.faults.commands import Command
from tests.integration.processes import free_port, mlflow_server, prefect_server
from tests.integration.runs import runs_in

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LONG = ("--draws", "20000")
"""Long enough for a server to be away while the engine is at work."""


@fault(
    Area.SERVERS,
    "the MLflow server is killed while a fit computes, and started again",
    made="a real server, SIGKILL once the run is open, back when the fit asks for it",
    code=DONE,
    told=("Tracked as run",),
    left="the one run that was begun, FINISHED",
)
def test_mlflow_comes_back(begun: Command, screen: Path) -> None:
    port = free_port()
    store = f"sqlite:///{begun.folder / 'mlflow.db'}"
    server = mlflow_server(begun.folder, port, store, str(begun.folder / "files"), {})
    try:
        process = begun.begin(
            "fit", screen, *LONG, environment={"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        )
        begun.wait_for_run(process)
        server.kill()
        begun.wait_for(process, "does not answer")
        server.start_again()
        begun.end(process)
        assert [run.info.status for run in runs_in(begun.folder)] == ["FINISHED"]
    finally:
        server.stop()


@fault(
    Area.SERVERS,
    "the Prefect server is killed while a fit computes, and started again",
    made="a real server, SIGKILL once the run is open, back at once",
    code=DONE,
    told=("Tracked as run",),
    left="the one run that was begun, FINISHED",
)
def test_prefect_comes_back(begun: Command, screen: Path) -> None:
    port = free_port()
    database = f"sqlite+aiosqlite:///{begun.folder / 'prefect.db'}"
    server = prefect_server(begun.folder, port, database)
    try:
        address = f"http://127.0.0.1:{port}/api"
        process = begun.begin("fit", screen, *LONG, environment={"PREFECT_API_URL": address})
        begun.wait_for_run(process)
        server.kill()
        server.start_again()
        assert "logging to API" not in begun.end(process).err
        assert [run.info.status for run in runs_in(begun.folder)] == ["FINISHED"]
    finally:
        server.stop()

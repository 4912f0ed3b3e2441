"""Stores that are away, cannot be made, or are used by several at once."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from schemas.parameters import FitParameters
from tasks.logged_model import register_version
from tasks.track import track_fit
from tasks.tracking_run import (
    FitRun,
    TakenOver,
    TrackingError,
    open_run,
    seen_to_its_end,
    without_password,
)
from tests.tasks.fits import (
    REPORT,
    dataset_of,
    results_of,
)
from tests.tasks.stores import only_run


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://user:secret@127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def broken_server() -> Iterator[str]:
    """A gateway whose MLflow is down."""

    class BadGateway(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(502)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), BadGateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def absent_server() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("server", ["silent_server", "broken_server", "absent_server"])
def test_a_dead_server_is_named_within_seconds(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = request.getfixturevalue(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    started = time.monotonic()
    with (
        pytest.raises(TrackingError, match=r"does not answer.*MLFLOW_TRACKING_URI") as error,
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)),
    ):
        pytest.fail("a run was started")
    assert time.monotonic() - started < 15
    assert without_password(uri) in str(error.value)
    assert "secret" not in str(error.value)


def test_a_server_that_dies_during_the_fit_hides_no_error(
    working_folder: Path, absent_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        pytest.raises(ValueError, match="the real trouble"),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)) as run,
    ):
        run.uri = absent_server
        raise ValueError("the real trouble")
    assert "could not be set FAILED" in caplog.text


def test_a_store_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    with (
        pytest.raises(TrackingError, match=r"file/mlflow\.db.*MLFLOW_TRACKING_URI"),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)),
    ):
        pytest.fail("a run was started")


def test_a_deleted_experiment_is_named_with_the_way_back(working_folder: Path) -> None:
    client = MlflowClient()
    client.delete_experiment(client.create_experiment("Avana sample"))
    with (
        pytest.raises(TrackingError, match=r"has been deleted.*mlflow experiments restore -x 1"),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)),
    ):
        pytest.fail("a run was started")


@pytest.mark.integration
def test_processes_that_start_together_on_a_fresh_store_all_succeed(tmp_path: Path) -> None:
    script = (
        "from schemas.dataset import Dataset\n"
        "from schemas.parameters import FitParameters\n"
        "from tasks.tracking_run import open_run, seen_to_its_end\n"
        "dataset = Dataset(name='Avana', release='24Q4', library='Avana', folder='release')\n"
        "with seen_to_its_end(open_run(dataset, FitParameters(), '0')) as run: run.finish()\n"
    )
    environment = {key: text for key, text in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    together = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=120)[1].decode() for process in together]
    assert [process.returncode for process in together] == [0] * 3, errors
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("Avana")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3


def test_a_run_closed_from_outside_is_not_finished_by_who_had_opened_it(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = working_folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    results = results_of()
    with (
        pytest.raises(TakenOver, match="given to another"),
        seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run,
    ):
        MlflowClient().set_terminated(run.run_id, "KILLED")
        track_fit(run, results, REPORT, lambda: 30.0)
    assert only_run(run.client).info.status == "KILLED"
    assert not run.client.search_model_versions()
    assert not list(temporary.iterdir())  # another makes this fit


def test_a_run_closed_while_it_is_registered_leaves_no_version(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who closed it saw none yet, and could not withdraw it."""

    def register_and_be_closed(run: FitRun, *others: object) -> None:
        register_version(run, *others)  # type: ignore[arg-type]
        MlflowClient().set_terminated(run.run_id, "KILLED")

    monkeypatch.setattr("tasks.track.register_version", register_and_be_closed)
    results = results_of()
    with (
        pytest.raises(TakenOver, match="given to another"),
        seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run,
    ):
        track_fit(run, results, REPORT, lambda: 30.0)
    assert not run.client.search_model_versions()

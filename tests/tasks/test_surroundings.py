"""Each look at the surroundings: sound, and with the thing it looks for made."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from mlflow import MlflowClient

from schemas.errors import EnvironmentTrouble
from tasks import surroundings
from tasks.surroundings import (
    look_at_bucket,
    look_at_disk,
    look_at_machine,
    look_at_mlflow,
    look_at_packages,
    look_at_python,
    look_at_variables,
    looked_at,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def only(look):
    (one,) = look
    return one


@pytest.mark.parametrize(
    ("running", "status"),
    [("3.11.9", "trouble"), ("3.12.0", "ok"), ("3.14.2", "ok"), ("3.15.0", "trouble")],
)
def test_a_python_it_was_not_made_for_is_trouble(running, status):
    assert only(look_at_python(running)).status == status


def test_the_packages_here_are_those_that_work_together():
    found = only(look_at_packages())
    assert found.status == "ok", found.found


@pytest.mark.parametrize(
    ("there", "said"),
    [("2.1.0", "sqlalchemy 2.1.0, expected <2.1,>=2.0"), (None, "sqlalchemy is not installed")],
)
def test_a_package_of_another_version_is_trouble(there, said):
    def installed(name: str) -> str:
        if there is None:
            raise PackageNotFoundError(name)
        return there

    wanted = ["sqlalchemy<2.1,>=2.0", 'colorama; sys_platform == "no such system"']
    found = only(look_at_packages(wanted, installed))
    assert (found.status, found.found) == ("trouble", said)
    assert "make setup" in found.mend


@pytest.mark.parametrize(
    ("memory", "status"), [(500e6, "trouble"), (3e9, "warning"), (64e9, "ok"), (None, "ok")]
)
def test_little_memory_is_told(memory, status):
    cores, found = look_at_machine(lambda: memory)
    assert found.status == status and bool(found.mend) == (status != "ok")
    assert int(cores.found) >= 1


@pytest.mark.parametrize(("free", "status"), [(50e6, "trouble"), (1e9, "warning"), (50e9, "ok")])
def test_a_disk_that_is_soon_full_is_told(folder, monkeypatch, free, status):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(surroundings.shutil, "disk_usage", lambda _: usage)
    assert {one.status for one in look_at_disk()} == {status}


def test_a_folder_that_may_not_be_written_to_is_trouble(folder, monkeypatch):
    def refuse(dir: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(surroundings.tempfile, "TemporaryFile", refuse)
    found = list(look_at_disk())
    assert {one.status for one in found} == {"trouble"}
    assert "Permission denied" in found[0].found


def test_a_store_that_is_not_there_yet_is_fine_and_is_not_made(folder):
    assert only(look_at_mlflow()).status == "ok"
    assert not list(folder.iterdir())


def test_runs_whose_processes_died_are_told(folder):
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("avana")
    client.create_run(experiment)  # one that is being filled
    assert [one.what for one in look_at_mlflow()] == ["MLflow"]
    long_ago = datetime.now(UTC) - timedelta(days=3)
    dead = client.create_run(experiment, start_time=int(long_ago.timestamp() * 1000))
    _, found = look_at_mlflow()
    assert found.status == "warning" and dead.info.run_id in found.found
    client.set_terminated(dead.info.run_id, "KILLED")
    assert len(list(look_at_mlflow())) == 1


def test_a_server_that_is_away_is_trouble_with_its_mend(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    found = only(looked_at("MLflow", look_at_mlflow))
    assert found.status == "trouble" and "does not answer" in found.found
    assert "MLFLOW_TRACKING_URI" in found.mend
    assert "secret" not in found.found + found.mend


@pytest.fixture
def answering() -> Iterator[dict[str, str]]:
    """Headers of a server's answers; its address is under `address`."""
    said = {"Date": "", "body": "3.17.2"}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(200)
            self.send_header("Date", said["Date"])
            self.end_headers()
            self.wfile.write(said["body"].encode())

        def log_message(self, *_: object):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said["address"] = f"http://127.0.0.1:{server.server_port}"
    yield said
    server.shutdown()


@pytest.mark.parametrize(("minutes", "status"), [(0, "ok"), (5, "warning"), (-5, "warning")])
def test_clocks_that_differ_are_told(answering, minutes, status):
    answering["Date"] = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    assert only(surroundings._look_at_clock("clock", answering["address"])).status == status


@pytest.mark.parametrize(("theirs", "status"), [("3.17.9", "ok"), ("3.2.0", "warning")])
def test_a_server_of_another_version_is_told(answering, theirs, status):
    answering["body"] = theirs
    assert only(surroundings._look_at_mlflow_version(answering["address"])).status == status


def test_half_a_pair_of_keys_is_trouble():
    found = only(look_at_bucket({"AWS_ACCESS_KEY_ID": "key"}))
    assert found.status == "trouble" and "AWS_SECRET_ACCESS_KEY is not set" in found.found


def test_the_prefix_is_looked_under(tmp_path):
    assert only(look_at_bucket({})).status == "ok"
    missing = only(look_at_bucket({"SCREENBAYES_PREFIX": str(tmp_path / "none")}))
    assert missing.status == "trouble"
    (tmp_path / "24Q4").mkdir()
    (tmp_path / "24Q4" / "dataset.yaml").touch()
    found = only(look_at_bucket({"SCREENBAYES_PREFIX": str(tmp_path)}))
    assert found.found == f"1 dataset file(s) at {tmp_path}"


def test_a_bucket_that_is_away_is_trouble(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("SCREENBAYES_PREFIX", "s3://screens")
    found = only(looked_at("releases", lambda: look_at_bucket(os.environ)))
    assert found.status == "trouble" and "s3://screens" in found.found and found.mend


def test_a_misspelt_variable_is_told():
    known = ["SCREENBAYES_PREFIX", "MLFLOW_TRACKING_URI"]
    assert not list(look_at_variables(known, {"SCREENBAYES_PREFIX": "x", "HOME": "y"}))
    found = only(look_at_variables(known, {"SCREENBAYES_PREFX": "x"}))
    assert found.status == "warning" and found.mend == "did you mean SCREENBAYES_PREFIX?"


@pytest.mark.parametrize(
    ("error", "found", "mend"),
    [
        (EnvironmentTrouble("the server is away; start it"), "the server is away", "start it"),
        (ZeroDivisionError("oops"), "could not be looked at: ZeroDivisionError: oops", ""),
    ],
)
def test_a_look_that_breaks_down_is_what_was_found(error, found, mend):
    def look():
        raise error

    one = only(looked_at("MLflow", look))
    assert (one.status, one.found, one.mend) == ("trouble", found, mend)

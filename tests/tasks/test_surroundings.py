"""Each look at the surroundings finds sound ones sound, and names what is wrong with what to do."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

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
def folder(tmp_path, monkeypatch):
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
def test_another_python_is_trouble(running, status):
    assert only(look_at_python(running)).status == status


@pytest.mark.parametrize(
    ("there", "found"),
    [("2.1.0", "sqlalchemy 2.1.0, expected <2.1,>=2.0"), (None, "sqlalchemy is not installed")],
)
def test_a_package_of_another_version_is_trouble(there, found):
    def installed(name: str) -> str:
        if there is None:
            raise PackageNotFoundError(name)
        return there

    assert only(look_at_packages()).status == "ok"
    wanted = ["sqlalchemy<2.1,>=2.0", 'colorama; sys_platform == "no such system"']
    one = only(look_at_packages(wanted, installed))
    assert (one.status, one.found) == ("trouble", found) and "make setup" in one.mend


@pytest.mark.parametrize(
    ("memory", "status"), [(500e6, "trouble"), (3e9, "warning"), (64e9, "ok"), (None, "ok")]
)
def test_little_memory_is_reported(memory, status):
    cores, found = look_at_machine(lambda: memory)
    assert found.status == status and bool(found.mend) == (status != "ok")
    assert int(cores.found) >= 1


@pytest.mark.parametrize(("free", "status"), [(50e6, "trouble"), (1e9, "warning"), (50e9, "ok")])
def test_a_disk_that_is_soon_full_is_reported(folder, monkeypatch, free, status):
    disk = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=free))
    monkeypatch.setattr(surroundings, "shutil", disk)
    assert {one.status for one in look_at_disk()} == {status}


def test_a_folder_that_may_not_be_written_to_is_trouble(folder, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(surroundings.tempfile, "TemporaryFile", refuse)
    found = list(look_at_disk())
    assert {one.status for one in found} == {"trouble"} and "Permission denied" in found[0].found


def test_runs_whose_processes_died_are_reported_and_no_store_is_made(folder, request):
    assert only(look_at_mlflow()).status == "ok"
    assert not list(folder.iterdir())
    client = MlflowClient(f"sqlite:///{request.getfixturevalue('working_folder')}/mlflow.db")
    experiment = client.create_experiment("avana")
    client.create_run(experiment)  # one that is being filled
    assert only(look_at_mlflow()).status == "ok"
    long_ago = datetime.now(UTC) - timedelta(days=3)
    dead = client.create_run(experiment, start_time=int(long_ago.timestamp() * 1000))
    _, found = look_at_mlflow()
    assert found.status == "warning" and dead.info.run_id in found.found


@pytest.mark.parametrize(
    ("what", "variables", "look", "words"),
    [
        (
            "MLflow",
            {"MLFLOW_TRACKING_URI": "http://me:secret@127.0.0.1:9"},
            look_at_mlflow,
            "does not answer",
        ),
        (
            "releases",
            {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "SCREENBAYES_PREFIX": "s3://screens",
            },
            lambda: look_at_bucket(os.environ),
            "s3://screens",
        ),
    ],
)
def test_a_service_that_is_away_is_trouble_with_what_to_do(
    folder, monkeypatch, what, variables, look, words
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = only(looked_at(what, look))
    assert found.status == "trouble" and words in found.found and found.mend
    assert "secret" not in found.found + found.mend


@pytest.mark.parametrize(
    ("minutes", "version", "clock", "versions"),
    [(0, "3.17.9", "ok", "warning"), (5, "", "warning", "ok"), (-5, "", "warning", "ok")],
)
def test_a_server_of_another_time_or_version_is_reported(
    monkeypatch, minutes, version, clock, versions
):
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    ours = ".".join(surroundings.version("mlflow").split(".")[:2])
    other = "3.2.0" if version else f"{ours}.999"
    answer = SimpleNamespace(headers={"Date": format_datetime(now, usegmt=True)}, text=other)
    monkeypatch.setattr(surroundings.requests, "get", lambda *_, **__: answer)
    assert only(surroundings._look_at_clock("clock", "http://a")).status == clock
    assert only(surroundings._look_at_mlflow_version("http://a")).status == versions


def test_the_keys_and_the_prefix_of_the_bucket_are_checked(tmp_path):
    half = only(look_at_bucket({"AWS_ACCESS_KEY_ID": "key"}))
    assert half.status == "trouble" and "AWS_SECRET_ACCESS_KEY is not set" in half.found
    assert only(look_at_bucket({})).status == "ok"
    assert only(look_at_bucket({"SCREENBAYES_PREFIX": str(tmp_path / "a")})).status == "trouble"
    (tmp_path / "24Q4").mkdir()
    (tmp_path / "24Q4" / "dataset.yaml").touch()
    found = only(look_at_bucket({"SCREENBAYES_PREFIX": str(tmp_path)}))
    assert found.found == f"1 dataset file(s) at {tmp_path}"


def test_a_misspelt_variable_is_reported():
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
def test_a_look_that_breaks_down_is_reported(error, found, mend):
    def look():
        raise error

    one = only(looked_at("MLflow", look))
    assert (one.status, one.found, one.mend) == ("trouble", found, mend)

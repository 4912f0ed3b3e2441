"""Each look at the surroundings finds sound ones sound, and names what is wrong with what to do."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from unittest import mock

import pytest
from mlflow import MlflowClient

from schemas.errors import ExternalServiceError
from tasks import health as looks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refuses(error):
    return mock.Mock(side_effect=error)


def on(version):
    """Check at packages of which one has this version."""
    wanted = ["sqlalchemy<2.1,>=2.0", 'colorama; sys_platform == "no such system"']
    return looks.check_packages(wanted, version)


def last(look):
    return list(look)[-1]


@pytest.mark.parametrize(
    ("look", "status", "found"),
    [
        (lambda: looks.check_python("3.11.9"), "trouble", "3.11.9"),
        (lambda: looks.check_python("3.14.2"), "ok", "3.14.2"),
        (lambda: looks.check_python("3.15.0"), "trouble", "3.15.0"),
        (looks.check_packages, "ok", "in supported versions"),
        (lambda: on(lambda _: "2.1.0"), "trouble", "sqlalchemy 2.1.0, expected <2.1,>=2.0"),
        (lambda: on(refuses(PackageNotFoundError())), "trouble", "sqlalchemy is not installed"),
        (lambda: looks.check_machine(lambda: 500 * 10**6), "trouble", "500 MB"),
        (lambda: looks.check_machine(lambda: 3 * 10**9), "warning", "3.0 GB"),
        (lambda: looks.check_bucket({"AWS_ACCESS_KEY_ID": "a"}), "trouble", "SECRET_ACCESS_KEY"),
        (lambda: looks.check_bucket({"SCREENBAYES_PREFIX": "no such"}), "trouble", "nothing at"),
    ],
)
def test_a_look_has_a_status_what_was_found_and_what_to_do(folder, look, status, found):
    one = last(look())
    assert (one.status, bool(one.remedy)) == (status, status != "ok") and found in one.found


def test_a_full_or_protected_disk_is_reported(folder, monkeypatch):
    for free, status in ((50e6, "trouble"), (1e9, "warning"), (50e9, "ok")):
        disk = SimpleNamespace(disk_usage=lambda _, free=free: SimpleNamespace(free=free))
        monkeypatch.setattr(looks, "shutil", disk)
        assert {one.status for one in looks.check_disk()} == {status}
    denied = PermissionError(13, "Permission denied")
    monkeypatch.setattr(looks.tempfile, "TemporaryFile", refuses(denied))
    found = list(looks.check_disk())
    assert {one.status for one in found} == {"trouble"} and "Permission denied" in found[0].found


def test_runs_whose_processes_died_are_reported_and_no_store_is_made(folder, request):
    assert last(looks.check_mlflow()).status == "ok"
    assert not list(folder.iterdir())
    client = MlflowClient(f"sqlite:///{request.getfixturevalue('working_folder')}/mlflow.db")
    experiment = client.create_experiment("avana")
    client.create_run(experiment)  # one that is being filled
    assert last(looks.check_mlflow()).status == "ok"
    long_ago = datetime.now(UTC) - timedelta(days=3)
    dead = client.create_run(experiment, start_time=int(long_ago.timestamp() * 1000))
    found = last(looks.check_mlflow())
    assert found.status == "warning" and dead.info.run_id in found.found


@pytest.mark.parametrize(
    ("look", "found", "remedy"),
    [
        (looks.check_mlflow, "does not answer", "MLFLOW_TRACKING_URI"),
        (refuses(ExternalServiceError("it is away; start it")), "it is away", "start it"),
        (refuses(ZeroDivisionError("a")), "could not be checked: ZeroDivisionError: a", ""),
    ],
)
def test_a_look_that_breaks_down_is_reported_without_passwords(monkeypatch, look, found, remedy):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    (one,) = looks.run_check("what", look)
    assert one.status == "trouble" and found in one.found and remedy in one.remedy
    assert "secret" not in one.found + one.remedy


def test_releases_are_counted_and_a_misspelt_variable_is_reported(tmp_path):
    (tmp_path / "24Q4").mkdir()
    (tmp_path / "24Q4" / "dataset.yaml").touch()
    settings = {"SCREENBAYES_PREFIX": str(tmp_path), "HOME": "y"}
    assert last(looks.check_bucket(settings)).found == f"1 dataset file(s) at {tmp_path}"
    known = ["SCREENBAYES_PREFIX", "MLFLOW_TRACKING_URI"]
    assert not list(looks.check_variables(known, settings))
    found = last(looks.check_variables(known, {"SCREENBAYES_PREFX": "x"}))
    assert (found.status, found.remedy) == ("warning", "did you mean SCREENBAYES_PREFIX?")

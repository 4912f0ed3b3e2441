"""How a run in MLflow ends: nothing unfinished is ever called FINISHED, and no password is told."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
import xarray as xr
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from schemas.parameters import FitParameters
from tasks.track import track_fit
from tasks.tracking_run import (
    LONGEST_FAILURE,
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
from tests.tasks.stores import only_run, run_at, track


@pytest.mark.parametrize(
    ("trouble", "status", "failure"),
    [
        (ValueError("no\n  genes"), "FAILED", "ValueError: no genes"),
        (ValueError("x" * 5000), "FAILED", ("ValueError: " + "x" * 5000)[:LONGEST_FAILURE]),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
    ],
)
def test_a_run_that_is_broken_off_says_so(
    working_folder: Path, trouble: BaseException, status: str, failure: str
) -> None:
    with (
        pytest.raises(type(trouble)),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)) as run,
    ):
        assert run.client.get_run(run.run_id).info.status == "RUNNING"
        raise trouble
    stored = only_run(run.client)
    assert stored.info.status == status
    assert stored.data.tags["failure"] == failure


def test_a_run_left_without_results_has_failed(working_folder: Path) -> None:
    with seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)) as run:
        pass
    stored = only_run(run.client)
    assert stored.info.status == "FAILED"
    assert stored.data.tags["failure"] == "the fit ended without results"


def test_trouble_after_the_results_are_stored_changes_nothing(working_folder: Path) -> None:
    results = results_of()
    with (
        pytest.raises(RuntimeError),
        seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run,
    ):
        track_fit(run, results, REPORT, lambda: 1.0)
        raise RuntimeError
    stored = only_run(run.client)
    assert stored.info.status == "FINISHED"
    assert "failure" not in stored.data.tags


@pytest.mark.parametrize(
    "step", ["log_inputs", "log_artifacts", "log_model_artifacts", "create_model_version"]
)
def test_a_refused_upload_fails_the_run_and_keeps_the_files(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(MlflowClient, step, refuse)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    results = results_of()
    with (
        pytest.raises(TrackingError, match=r"disk full.*results are kept in") as error,
        seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run,
    ):
        track_fit(run, results, REPORT, lambda: 1.0)
    kept = Path(str(error.value).rpartition(" ")[2])
    assert (kept / "artifacts" / "posterior.nc").is_file()
    assert only_run(run.client).info.status == "FAILED"


def test_a_full_disk_says_where_the_files_are_and_what_to_do(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", full)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    expected = r"No space left on device; make room .* TMPDIR .* results are kept in "
    with pytest.raises(TrackingError, match=expected) as error:
        track(results_of())
    assert [file.name for file in Path(str(error.value).rpartition(" ")[2]).iterdir()] == [
        "unfinished"
    ]


def test_trouble_that_nobody_foresaw_keeps_the_files_and_says_where(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tasks.track.log_effect_model", broken)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    with pytest.raises(ZeroDivisionError) as error:
        track(results_of())
    (kept,) = working_folder.glob("screenbayes-*")
    assert (kept / "artifacts" / "posterior.nc").is_file()
    assert error.value.__notes__ == [f"the results are kept in {kept}"]


def interrupted() -> Exception:
    """What is raised where a call fails because of Ctrl-C."""
    error = RuntimeError("the server is gone")
    error.__context__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), interrupted()])
def test_nothing_is_left_behind_on_an_interrupt(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def stopped(*arguments: object, **named: object) -> None:
        raise stop

    monkeypatch.setattr("tasks.track.log_effect_model", stopped)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    with pytest.raises(type(stop)):
        track(results_of())
    assert not list(working_folder.glob("screenbayes-*"))
    assert only_run(MlflowClient()).info.status == "KILLED"


def test_nothing_is_left_behind_when_all_is_stored(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    track(results_of())
    assert not list(working_folder.glob("screenbayes-*"))


# ---- passwords

SECRET = "http://user:se@cret@mlflow.example"


@pytest.mark.parametrize("step", ["create_run", "log_artifacts"])
@pytest.mark.parametrize("trouble", [MlflowException, OSError])
def test_no_traceback_shows_the_password(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception], step: str
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise trouble(f"no route to {SECRET}/api")

    monkeypatch.setattr(MlflowClient, step, refuse)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    try:
        track(results_of())
    except TrackingError:
        shown = traceback.format_exc()
    assert "no route to http://***@mlflow.example/api" in shown
    assert "cret" not in shown


def test_a_password_is_neither_in_the_reason_of_a_run_nor_in_its_repr(working_folder: Path) -> None:
    with (
        pytest.raises(ValueError, match="refused"),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)) as run,
    ):
        raise ValueError(f"refused by {SECRET}/api")
    assert only_run(run.client).data.tags["failure"].endswith("by http://***@mlflow.example/api")
    assert "cret" not in repr(run_at(SECRET))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://user:secret@host/a", "http://***@host/a"),
        ("postgresql://user:s@c:r@host:5432/a", "postgresql://***@host:5432/a"),
        ("http://a:b@one/x http://c:d@two/y@z", "http://***@one/x http://***@two/y@z"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
    ],
)
def test_user_and_password_are_masked(text: str, masked: str) -> None:
    assert without_password(text) == masked

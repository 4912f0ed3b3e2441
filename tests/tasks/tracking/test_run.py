"""An MLflow run from start to end: no unfinished run is FINISHED, no password is shown."""

import re
import sys
import traceback
from pathlib import Path
from unittest import mock

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from schemas.parameters import FitParameters
from tasks.tracking.log_fit import track_fit
from tasks.tracking.logged_model import register_version
from tasks.tracking.run import FitRun, RunReassigned, managed_run, open_run, run_location
from tasks.tracking.store import TrackingError
from tests.tasks.fits import REPORT, SECONDS, dataset_of, results_of
from tests.tasks.stores import only_run, track

SECRET, MASKED = "http://user:se@cret@mlflow.example", "http://***@mlflow.example"
SHOWN = f"ValueError: {MASKED}/a sql://***@d/e@f"


def begun():
    return managed_run(open_run(dataset_of(), FitParameters(), "0" * 64))


def interrupted() -> Exception:
    """What is raised where a call fails because of Ctrl-C."""
    error = RuntimeError("the server is gone")
    error.__context__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ("trouble", "status", "failure"),
    [
        (ValueError("no\n  genes"), "FAILED", "ValueError: no genes"),
        (ValueError("x" * 5000), "FAILED", "ValueError: " + "x" * 238),  # 250 letters in all
        (ValueError(f"{SECRET}/a sql://b:c@d/e@f"), "FAILED", SHOWN),
        (interrupted(), "KILLED", "KeyboardInterrupt"),
        (None, "FAILED", "the fit ended without results"),
    ],
)
def test_a_broken_off_run_ends_with_the_reason(working_folder, trouble, status, failure):
    try:
        with begun() as run:
            assert run.client.get_run(run.run_id).info.status == "RUNNING"
            if trouble is not None:
                raise trouble
    except (ValueError, RuntimeError) as raised:
        assert raised is trouble
    stored = only_run(run.client)
    assert (stored.info.status, stored.data.tags["failure"]) == (status, failure)


def test_an_error_after_the_results_are_stored_changes_nothing(working_folder):
    with pytest.raises(ZeroDivisionError), begun() as run:
        track_fit(run, results_of(), REPORT, SECONDS)
        raise ZeroDivisionError
    stored = only_run(run.client)
    assert stored.info.status == "FINISHED" and "failure" not in stored.data.tags
    assert not list((working_folder / "temporary").iterdir())


FULL = OSError(28, "No space left on device")
REFUSED = MlflowException(f"disk full at {SECRET}/api")
INCLUDED = rf"disk full at {re.escape(MASKED)}/api.*results are kept in"
ARTIFACTS = "artifacts/posterior.nc"
MODEL = "tasks.tracking.log_fit.log_effect_model"


@pytest.mark.parametrize(
    ("where", "error", "raised", "words", "kept"),
    [
        ("mlflow.MlflowClient.log_artifacts", REFUSED, TrackingError, INCLUDED, ARTIFACTS),
        ("mlflow.MlflowClient.create_model_version", REFUSED, TrackingError, INCLUDED, ARTIFACTS),
        ("xarray.DataTree.to_netcdf", FULL, TrackingError, "make room .* TMPDIR", "unfinished"),
        (MODEL, ZeroDivisionError(), ZeroDivisionError, "", ARTIFACTS),
        (MODEL, KeyboardInterrupt(), KeyboardInterrupt, "", ""),
    ],
)
def test_a_fit_that_cannot_be_stored_keeps_its_files_unless_interrupted(
    working_folder, monkeypatch, where, error, raised, words, kept
):
    monkeypatch.setattr(where, mock.Mock(side_effect=error))
    with pytest.raises(raised, match=words or None) as found:
        track(results_of())
    shown = "".join(traceback.format_exception(found.value))
    assert "cret" not in shown
    assert only_run(MlflowClient()).info.status == ("FAILED" if kept else "KILLED")
    folders = list((working_folder / "temporary").iterdir())
    assert len(folders) == bool(kept)
    for folder in folders:
        assert (folder / kept).exists() and f"results are kept in {folder}" in shown


@pytest.mark.parametrize("when", ["before", "while it is registered"])
def test_a_run_closed_from_outside_leaves_no_version(working_folder, monkeypatch, when):
    def register_and_be_closed(run: FitRun, *others) -> None:
        register_version(run, *others)
        MlflowClient().set_terminated(run.run_id, "KILLED")

    monkeypatch.setattr("tasks.tracking.log_fit.register_version", register_and_be_closed)
    with pytest.raises(RunReassigned, match="its fit restarted"), begun() as run:
        if when == "before":
            MlflowClient().set_terminated(run.run_id, "KILLED")
        track_fit(run, results_of(), REPORT, SECONDS)
    assert only_run(run.client).info.status == "KILLED"
    assert not run.client.search_model_versions()
    assert not list((working_folder / "temporary").iterdir())  # another makes this fit


LOCAL, SERVED = "sqlite:////data/other store.db", "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("uri", "where"),
    [
        (LOCAL, f"mlflow ui --backend-store-uri '{LOCAL}'   and open   {SERVED}/{{page}}"),
        ("https://a:b@mlflow.example/", "https://***@mlflow.example/{page}"),
    ],
)
def test_the_way_to_a_run_is_of_the_store(working_folder, monkeypatch, uri, where):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    page = "#/experiments/7/runs/abc?workflowType=machine_learning"
    run = FitRun(MlflowClient(), uri, "7", "abc")
    assert run_location(run) == where.format(page=page)
    assert "b@" not in repr(run)

"""`screenbayes calibrate` from the command to the run in MLflow."""

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from deployments.command_line import main
from tasks.track_calibration import latest_calibration
from tests.model.wrong_engines import flipped

pytestmark = [pytest.mark.integration]

SMALL = ["calibrate", "--model", "m4_zero_mean", "--simulations", "60", "--engine", "exact"]


def test_a_calibration_becomes_a_run_and_a_wrong_engine_fails(working_folder, capsys, monkeypatch):
    assert main([*SMALL, "--out", "out"]) == 0
    shown = capsys.readouterr()
    client = mlflow.MlflowClient(f"sqlite:///{working_folder / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'calibration'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "m4_zero_mean exact"
    assert run.data.tags["kind"] == "calibration" and run.data.tags["verdict"] == "pass"
    assert run.data.params["simulations"] == "60" and run.data.params["sampling.draws"] == "250"
    assert run.data.metrics["n_simulations"] == 60
    assert 0.75 < run.data.metrics["coverage_89_beta_g"] < 1
    report = json.loads(Path("out/calibration.json").read_text(encoding="utf-8"))
    assert report["verdict"]["status"] == "pass"
    folder = Path(client.download_artifacts(run.info.run_id, ""))
    pits = pd.read_parquet(folder / "pits.parquet")
    assert len(pits) == 60 and pits["beta_g"].between(0, 1).all()
    assert {path.name for path in (folder / "plots").iterdir()} == {"ecdf.png", "coverage.png"}
    found = latest_calibration("m4_zero_mean", "exact")
    assert found is not None and (found.run_id, found.verdict) == (run.info.run_id, "pass")
    assert "m4_zero_mean: pass" in shown.out and run.info.run_id in shown.out
    assert "60 simulations of m4_zero_mean" in shown.err

    monkeypatch.setattr("flows.calibrate.run_engine", flipped)
    assert main(SMALL) == 1
    assert "do not use it" in capsys.readouterr().out
    newest = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])[0]
    assert newest.info.status == "FINISHED" and newest.data.tags["verdict"] == "fail"


def test_what_cannot_be_calibrated_is_refused_before_a_run_begins(working_folder, capsys):
    assert main(["calibrate", "--model", "m4_nested", "--replicates", "1"]) == 2
    assert "expected replicates" in capsys.readouterr().err
    assert not Path("mlflow.db").exists()
    assert main(["calibrate", "--genes", "1", "--draws", "3"]) == 2
    error = capsys.readouterr().err
    assert "--genes: should be" in error and "--draws: should be" in error

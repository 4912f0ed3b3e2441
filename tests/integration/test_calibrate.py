"""`screenbayes calibrate` from the command to the run in MLflow."""

import json
from pathlib import Path

import pandas as pd
import pytest

from deployments.cli.app import main
from tasks.reports.permutation import describe_trial
from tasks.tracking.calibration import latest_calibration
from tasks.tracking.permutation import latest_trial
from tests.integration.runs import artifact, runs_in

pytestmark = [pytest.mark.integration]

SMALL = ["calibrate", "--model", "m4_zero_mean", "--simulations", "60", "--engine", "exact"]


def test_a_calibration_becomes_a_run(working_folder, capsys):
    assert main([*SMALL, "--priors", "mu_beta=Normal(0, 2)", "--out", "out"]) == 0
    shown = capsys.readouterr()
    (run,) = runs_in(working_folder)
    assert run.info.status == "FINISHED" and run.info.run_name == "m4_zero_mean exact"
    assert run.data.tags["kind"] == "calibration" and run.data.tags["verdict"] == "pass"
    assert run.data.params["simulations"] == "60" and run.data.params["sampling.draws"] == "250"
    assert run.data.metrics["n_simulations"] == 60
    assert 0.75 < run.data.metrics["coverage_89_beta_g"] < 1
    report = json.loads(Path("out/calibration.json").read_text(encoding="utf-8"))
    assert report["verdict"]["status"] == "pass"
    pits = pd.read_parquet(artifact(run, "pits.parquet"))
    assert len(pits) == 60 and pits["beta_g"].between(0, 1).all()
    assert {path.name for path in artifact(run, "plots").iterdir()} == {"ecdf.png", "coverage.png"}
    found = latest_calibration("m4_zero_mean", "exact", settings=run.data.params)
    assert latest_calibration("m4_zero_mean", "exact") is None  # it has other priors
    assert found is not None and (found.run_id, found.verdict) == (run.info.run_id, "pass")
    assert "m4_zero_mean: pass" in shown.out and run.info.run_id in shown.out
    assert "60 simulations of m4_zero_mean" in shown.err


def test_what_cannot_be_calibrated_is_refused_before_a_run_begins(working_folder, capsys):
    assert main(["calibrate", "--model", "m4_nested", "--replicates", "1"]) == 2
    assert "expected replicates" in capsys.readouterr().err
    assert not Path("mlflow.db").exists()


def test_false_calls_on_a_screen_become_a_run_and_a_line_of_the_report(working_folder, capsys):
    assert main(["simulate", "--out", "s", "--genes", "30", "--cell-lines", "14"]) == 0
    Path("few.yaml").write_text("filters:\n  without_cell_lines: [ACH-000001]\n", encoding="utf-8")
    fit = ["s/dataset.yaml", "--model", "m4", "--engine", "exact", "--parameters", "few.yaml"]
    trial = ["calibrate", "--on", *fit, "--permutations", "2", "--draws", "50", "--seed", "1"]
    assert main([*trial, "--out", "out"]) == 1  # m4 is too sure of slopes
    shown = capsys.readouterr()
    (run,) = runs_in(working_folder)
    report = json.loads(Path("out/permutation_trial.json").read_text(encoding="utf-8"))
    assert run.data.tags["kind"] == "permutation_trial" and run.data.tags["engine"] == "exact"
    assert run.data.tags["verdict"] == "fail" and report["n_cell_lines"] == 13
    calls = pd.read_csv(artifact(run, "permutation_calls.csv"))
    assert len(calls) == 8 and artifact(run, "plots/false_calls.png").stat().st_size > 10_000
    by_method = calls.groupby("method")[["n_false", "n_other"]].sum()
    assert run.data.metrics["n_false_s_value"] == by_method.loc["s_value", "n_false"]
    assert "24 of 30 genes" in shown.out and "2 fits of m4, about" in shown.err
    assert main([*trial, "--out", "again"]) == 1
    files = (Path(folder, "permutation_trial.json") for folder in ("out", "again"))
    assert len({file.read_text(encoding="utf-8") for file in files}) == 1
    assert main(["fit", *fit, "--pictures", "none"]) == 0
    fitted, newest, _ = runs_in(working_folder)
    page = artifact(fitted, "report.html").read_text(encoding="utf-8")
    assert f"run {newest.info.run_id}" in page and "of genes with permuted RNA" in page
    of_others = latest_trial("simulated-release", run.data.tags["data_digest"], "m4_nested")
    assert "--on DATASET_FILE --model m4_nested" in describe_trial("m4_nested", of_others)
    assert main([*trial, "--simulations", "60"]) == main([*trial, "--share", "0.01"]) == 2
    assert main(["calibrate", "--share", "0.5"]) == 2
    error = capsys.readouterr().err
    assert "--simulations: expected only without --on" in error and "got no --on" in error
    assert "got 0 of 30 with share 0.01" in error

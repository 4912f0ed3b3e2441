"""What a person is told, and what is left behind, when the surroundings fail."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT, TROUBLE

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("failures")]


@pytest.fixture
def nobody() -> str:
    """Address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def told(capsys) -> str:
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return said.err


def test_a_dead_mlflow_server_is_told_before_anything_is_sampled(
    working_folder, monkeypatch, nobody, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    assert main(["demo"]) == TROUBLE
    said = told(capsys)
    assert nobody in said and "MLFLOW_TRACKING_URI" in said
    assert not any(stage in said for stage in ("sampling", "integrating", "fitting"))


def test_a_dead_bucket_is_trouble_not_bad_input(working_folder, monkeypatch, nobody, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    for command in ("validate", "fit"):
        assert main([command, "s3://screens/24Q4/avana.yaml"]) == TROUBLE
        assert "s3://screens/24Q4/avana.yaml" in told(capsys)
    assert not (working_folder / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "no-such.yaml"),
        ("", "name"),
        ("- a\n- b\n", "expected keys"),
        ("name: [", "line"),
        ("name: a\nrelease: b\nlibrary: Avana\n", "logfc"),
        ("name: a\nrelease: b\nlibrary: Avana\nlogfc: x.csv\nlogfcs: y.csv\n", "logfcs"),
        ("name: a\nrelease: b\nlibrary: Avana\nfolder: nowhere\n", "nowhere"),
    ],
)
def test_dataset_files_that_cannot_be_used(working_folder, text, expected, capsys):
    path = working_folder / "no-such.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["validate", str(path)]) == BAD_INPUT
    assert expected in told(capsys)


def test_a_run_that_cannot_be_stored_is_marked_and_its_files_are_named(
    working_folder, monkeypatch, capsys
):
    """The disk is full when the artifacts are written."""
    from tests.integration.runs import runs_in

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlflow.MlflowClient.log_artifacts", full)
    few = ["--engine", "nuts", "--draws", "100", "--tune", "100", "--chains", "2"]
    assert main(["demo", *few]) == TROUBLE
    said = told(capsys)
    assert "No space left on device" in said and "kept in" in said
    (run,) = runs_in(working_folder)
    assert run.info.status == "FAILED"
    assert "No space left" in run.data.tags["failure"]


def test_unreadable_yaml_values_do_not_run_code(working_folder, capsys):
    path = working_folder / "hostile.yaml"
    path.write_text(yaml.dump({"name": "a"}) + "release: !!python/object/apply:os.getcwd []\n")
    assert main(["validate", str(path)]) == BAD_INPUT
    assert "python" in told(capsys)


def test_a_dead_prefect_server_is_told(working_folder, nobody):
    done = subprocess.run(
        [sys.executable, "-m", "deployments.command_line", "demo"],
        env={**os.environ, "PREFECT_API_URL": f"{nobody}/api", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == TROUBLE
    assert "Traceback" not in done.stderr
    assert nobody in done.stderr and "PREFECT_API_URL" in done.stderr


def test_a_defect_is_no_verdict(monkeypatch, capsys):
    """What nobody foresaw shows its traceback, and does not exit as a failed verdict does."""

    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("deployments.command_line.app", broken)
    assert main(["demo"]) == TROUBLE
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_trouble(working_folder, capsys):
    (working_folder / "screenbayes-demo").touch()
    assert main(["demo"]) == TROUBLE
    assert "screenbayes-demo" in told(capsys)

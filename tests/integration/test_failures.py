"""What a person is told, and what is left behind, when the surroundings fail."""

from __future__ import annotations

import pytest
import yaml

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT, TROUBLE
from tests.faults.fake_servers import nobody

pytestmark = [pytest.mark.integration]


def told(capsys) -> str:
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return said.err


def test_a_dead_bucket_is_trouble_not_bad_input(working_folder, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", nobody())
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


def test_unreadable_yaml_values_do_not_run_code(working_folder, capsys):
    path = working_folder / "hostile.yaml"
    path.write_text(yaml.dump({"name": "a"}) + "release: !!python/object/apply:os.getcwd []\n")
    assert main(["validate", str(path)]) == BAD_INPUT
    assert "python" in told(capsys)


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

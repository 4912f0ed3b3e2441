"""The run that a name means, what is listed where it means none, the list of all, and the store."""

import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

from deployments.cli.app import main
from deployments.cli.exit_codes import BAD_INPUT
from tasks.tracking import find
from tasks.tracking.find import run_id_of
from tasks.tracking.list_runs import list_runs
from tasks.tracking.store import NoSuchFit, experiment_of, tracking_store, tracking_uri

RUNS = {  # the later the newer
    "old": ("avana", "24Q2", "FINISHED"),
    "again": ("avana", "24Q2", "FINISHED"),
    "new": ("avana", "24Q4", "FINISHED"),
    "failed": ("avana", "25Q2", "FAILED"),
    "comparison": ("avana", "24Q4", "FINISHED"),
    "ky": ("ky", "24Q4", "FINISHED"),
}
NAMES = {"latest": "new", "24Q2": "again", "24Q4": "new", "champion": "old", "challenger": "again"}


@pytest.fixture
def runs(working_folder):
    client, runs = MlflowClient(), {}
    experiments = {name: client.create_experiment(name) for name in ("avana", "ky")}
    for start, (name, (experiment, release, status)) in enumerate(RUNS.items(), start=1):
        kind = {"kind": "comparison"} if name == "comparison" else {"fit_key": "k"}
        tags = kind | {"release": release}
        run = client.create_run(experiments[experiment], start_time=start, tags=tags)
        runs[name] = run.info.run_id
        client.set_terminated(runs[name], status)
    client.create_registered_model("avana")
    for alias, name in (("champion", "old"), ("challenger", "again")):
        version = client.create_model_version("avana", "s3://bucket/model", runs[name])
        client.set_registered_model_alias("avana", alias, version.version)
    return runs


def test_a_name_means_the_newest_finished_fit_or_lists_what_there_is(runs, monkeypatch):
    assert {name: run_id_of(name, "avana") for name in NAMES} == {
        name: runs[run] for name, run in NAMES.items()
    }
    assert run_id_of("0" * 32) == "0" * 32
    for name in ("old", "failed", "comparison"):
        assert run_id_of(runs[name][:9]) == runs[name]
    for name, dataset, listed in (
        ("25Q2", "avana", "available: 24Q4, 24Q2"),  # its only fit failed
        ("24q4", "avana", "did you mean 24Q4?"),
        ("latest", "avan", "did you mean avana?; available: avana, ky"),
        ("latest", "", "fits of 2; available: avana, ky; add --dataset"),
        ("champion", "ky", "`screenbayes promote latest` sets it"),
        ("it's", "avana", 'got "it\'s"'),
    ):
        with pytest.raises(NoSuchFit) as error:
            run_id_of(name, dataset)
        assert listed in str(error.value) and "mlflow.db" in str(error.value)
    monkeypatch.setattr(find, "SHORT_ID", re.compile("|z"))  # the beginning of every id
    with pytest.raises(NoSuchFit, match=r"6 runs .* begin with"):
        run_id_of("")


def test_the_list_has_the_newest_runs_first_and_no_parts_of_others(runs):
    of = MlflowClient().get_run(runs["ky"]).info.experiment_id
    MlflowClient().create_run(of, start_time=99, tags={"kind": "part"})
    table, where = list_runs()
    assert list(table["run_id"]) == [runs[name] for name in reversed(RUNS)]
    assert list(table["kind"]) == ["fit", "comparison", "fit", "fit", "fit", "fit"]
    assert "failed" in set(table["verdict"]) and "mlflow.db" in where
    assert list(map(run_id_of, table["run"])) == list(table["run_id"])
    assert list(list_runs("avana", most=2)[0]["run_id"]) == [runs["comparison"], runs["failed"]]


def test_the_nearest_store_is_used_and_its_files_stay_beside_it(working_folder, monkeypatch):
    (below := working_folder / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(below)
    with tracking_store() as (client, uri):
        assert uri == f"sqlite:///{working_folder / 'mlflow.db'}"
        experiment = client.get_experiment(experiment_of(client, "my screen", uri))
    assert Path(experiment.artifact_location) == working_folder / "mlruns" / "my screen"
    (nearer := below.parent / "mlflow.db").touch()
    assert tracking_uri() == f"sqlite:///{nearer}"


@pytest.mark.parametrize("variable", ["", "sqlite:///{}/none.db"])
def test_reading_creates_no_store_and_says_where_it_looked(variable, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", variable.format(tmp_path))
    export = ["export", "0" * 32, "--out", "there"]
    for command in (["runs"], ["show"], export, ["compare", "a", "b"], ["promote", "latest"]):
        assert main(command) == BAD_INPUT and str(tmp_path) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

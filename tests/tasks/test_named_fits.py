"""The run that each name of a fit means, and what is listed where it means none."""

from __future__ import annotations

import shutil

import pytest
from mlflow import MlflowClient

from tasks.named_fits import run_id_of
from tasks.tracked_fits import NoSuchFit


@pytest.fixture(scope="module")
def store(fresh_store, tmp_path_factory):
    """Address of a store, and its runs by name, the later the newer, of two datasets."""
    path = shutil.copy(fresh_store, tmp_path_factory.mktemp("named") / "mlflow.db")
    client = MlflowClient(f"sqlite:///{path}")
    first, other = client.create_experiment("avana"), client.create_experiment("ky")
    for number in range(20):
        client.create_experiment(f"nothing fitted {number}")

    made = {}
    for start, (name, experiment, release, status) in enumerate(
        [
            ("old", first, "24Q2", "FINISHED"),
            ("again", first, "24Q2", "FINISHED"),
            ("new", first, "24Q4", "FINISHED"),
            ("failed", first, "25Q2", "FAILED"),
            ("comparison", first, "24Q4", "FINISHED"),
            ("ky", other, "24Q4", "FINISHED"),
        ],
        start=1,
    ):
        kind = {"kind": "comparison"} if name == "comparison" else {"fit_key": "k"}
        tags = kind | {"release": release}
        made[name] = client.create_run(experiment, start_time=start, tags=tags).info.run_id
        client.set_terminated(made[name], status)
    client.create_registered_model("avana")
    for alias, name in (("champion", "old"), ("challenger", "again")):
        version = client.create_model_version("avana", "s3://bucket/model", made[name])
        client.set_registered_model_alias("avana", alias, version.version)
    return client.tracking_uri, made


@pytest.fixture
def runs(monkeypatch, store):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store[0])
    return store[1]


@pytest.mark.parametrize(
    ("name", "run"),
    [("latest", "new"), ("24Q2", "again"), ("24Q4", "new"), ("champion", "old"),
     ("challenger", "again")],
)  # fmt: skip
def test_a_name_means_the_newest_finished_fit(runs, name, run):
    assert run_id_of(name, "avana") == runs[run]
    assert run_id_of("0" * 32) == "0" * 32


@pytest.mark.parametrize(
    ("name", "dataset", "listed"),
    [
        ("25Q2", "avana", "there are: 24Q4, 24Q2"),  # its only fit failed
        ("latest", "", "fits of 2; there are: avana, ky; name it"),
        ("champion", "ky", "`screenbayes promote latest` gives it"),
        ("challenger", "ky", "alias challenger"),
        ("it's", "avana", 'got "it\'s"'),
    ],
)
def test_a_name_of_no_fit_lists_what_there_is(runs, name, dataset, listed):
    with pytest.raises(NoSuchFit) as error:
        run_id_of(name, dataset)
    assert listed in str(error.value)

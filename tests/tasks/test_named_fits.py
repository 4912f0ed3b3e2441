"""Names of fits: which run each means, and what is said where it means none."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from tasks.named_fits import run_id_of
from tasks.tracked_fits import NoSuchFit

FIT = {"fit_key": "k"}


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('named') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def runs(uri):
    """Runs by name, the later the newer, of two datasets."""
    client = MlflowClient(uri)
    first, other = client.create_experiment("avana"), client.create_experiment("ky")
    client.create_experiment("nothing fitted")

    def run(experiment, start, status="FINISHED", **tags):
        found = client.create_run(experiment, start_time=start, tags=tags).info.run_id
        client.set_terminated(found, status)
        return found

    made = {
        "old": run(first, 1000, release="24Q2", **FIT),
        "again": run(first, 2000, release="24Q2", **FIT),
        "new": run(first, 3000, release="24Q4", **FIT),
        "failed": run(first, 4000, "FAILED", release="25Q2", **FIT),
        "comparison": run(first, 5000, release="24Q4", kind="comparison"),
        "ky": run(other, 6000, release="24Q4", **FIT),
    }
    client.create_registered_model("avana")
    version = client.create_model_version("avana", "s3://bucket/model", made["old"])
    client.set_registered_model_alias("avana", "champion", version.version)
    version = client.create_model_version("avana", "s3://bucket/model", made["again"])
    client.set_registered_model_alias("avana", "challenger", version.version)
    return made


@pytest.fixture(autouse=True)
def store(monkeypatch, uri, runs):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("latest", "new"),
        ("24Q2", "again"),
        ("24Q4", "new"),
        ("champion", "old"),
        ("challenger", "again"),
    ],
)
def test_a_name_means_the_newest_finished_fit(runs, name, run):
    assert run_id_of(name, "avana") == runs[run]


def test_an_id_is_taken_as_it_is():
    assert run_id_of("0" * 32) == "0" * 32


@pytest.mark.parametrize(
    ("name", "dataset", "said"),
    [
        ("25Q2", "avana", "there are: 24Q4, 24Q2"),  # its only fit failed
        ("latest", "sanger", "there are: avana, ky"),
        ("latest", "", "fits of 2; there are: avana, ky; name it"),
        ("champion", "ky", "alias champion, MLflow at"),
        ("champion", "ky", "`screenbayes promote latest` gives it"),
        ("challenger", "ky", "alias challenger"),
        ("it's", "avana", 'got "it\'s"'),
    ],
)
def test_what_there_is_is_said(name, dataset, said):
    with pytest.raises(NoSuchFit) as error:
        run_id_of(name, dataset)
    assert said in str(error.value)


def test_the_only_dataset_need_not_be_named(monkeypatch, tmp_path):
    uri = f"sqlite:///{tmp_path / 'one.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri)
    made = client.create_run(client.create_experiment("only"), tags={"release": "1", **FIT})
    client.set_terminated(made.info.run_id)
    assert run_id_of("latest") == made.info.run_id


@pytest.fixture
def crowd(monkeypatch, tmp_path):
    """A store of one dataset with fits among many experiments without; counts what is asked."""
    uri = f"sqlite:///{tmp_path / 'crowd.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri)
    for number in range(20):
        client.create_experiment(f"empty {number}")
    experiment = client.create_experiment("only")
    for number in range(5):
        made = client.create_run(experiment, start_time=number, tags={"release": "1", **FIT})
        client.set_terminated(made.info.run_id)
    asked = []
    search = MlflowClient.search_runs

    def counted(self, *arguments, **options):
        found = search(self, *arguments, **options)
        asked.append(len(found))
        return found

    monkeypatch.setattr(MlflowClient, "search_runs", counted)
    return asked


def test_what_is_asked_does_not_grow_with_the_store(crowd):
    run_id_of("latest")
    assert crowd == [1, 0, 1]  # which dataset, whether another, the newest
    crowd.clear()
    run_id_of("1", "only")
    assert crowd == [1]

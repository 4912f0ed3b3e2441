"""The page of an experiment: its views find the runs they name, and nobody's words are lost."""

import json
import shutil

import pytest
from mlflow import MlflowClient

from tasks.tracking.ui import NOTE, VIEW, VIEWS, describe_experiment
from tests.tasks.reports.pages import require_page


@pytest.fixture(scope="module")
def store(fresh_store, tmp_path_factory):
    """A store with runs of every kind, by name."""
    path = shutil.copy(fresh_store, tmp_path_factory.mktemp("front") / "mlflow.db")
    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.create_experiment("avana")

    for name, status, log_evidence, tags in (
        ("worse", "FINISHED", -20.0, {"fit_key": "a", "verdict": "pass"}),
        ("better", "FINISHED", -10.0, {"fit_key": "b", "verdict": "fail"}),
        ("comparison", "FINISHED", None, {"kind": "comparison"}),
        ("part", "FINISHED", -1.0, {"kind": "part"}),
        ("failed", "FAILED", None, {"fit_key": "c"}),
        ("running", "RUNNING", None, {"fit_key": "d"}),
    ):
        made = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        if log_evidence is not None:
            client.log_metric(made, "log_evidence", log_evidence)
        if status != "RUNNING":
            client.set_terminated(made, status)
    return client, experiment


def test_a_view_finds_the_runs_it_names(store):
    client, experiment = store
    for view, expected in {
        "fits": ["running", "failed", "better", "worse"],
        "usable": ["worse"],
        "models": ["better", "worse", "running", "failed"],
        "comparisons": ["comparison"],
        "unfinished": ["running", "failed"],
    }.items():
        shown = json.loads(VIEWS[view].state())
        order = [f"{shown['orderByKey']} DESC"]
        found = client.search_runs([experiment], shown["searchFilter"], order_by=order)
        assert [run.info.run_name for run in found] == expected, view


def test_an_experiment_is_described_once(store):
    client, experiment = store
    describe_experiment(client, experiment)
    tags = client.get_experiment(experiment).tags
    assert {f"{VIEW}{key}" for key in VIEWS} <= set(tags)
    require_page(
        "experiment.md", tags[NOTE].replace(f"experiments/{experiment}/", "experiments/7/")
    )
    client.set_experiment_tag(experiment, NOTE, "Mine.")
    client.set_experiment_tag(experiment, f"{VIEW}fits", "{}")
    describe_experiment(client, experiment)
    tags = client.get_experiment(experiment).tags
    assert (tags[NOTE], tags[f"{VIEW}fits"]) == ("Mine.", VIEWS["fits"].state())

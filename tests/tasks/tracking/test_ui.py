"""The page of an experiment: its views find the runs they name, and nobody's words are lost."""

import json
import shutil
from unittest import mock

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tasks.tracking.ui import NOTE, VIEW, VIEWS, describe_experiment
from tests.tasks.reports.pages import require_page


@pytest.fixture(scope="module")
def store(fresh_store, tmp_path_factory):
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
    note = tags[NOTE].replace(f"experiments/{experiment}/", "experiments/7/")
    require_page("experiment.md", note)
    client.set_experiment_tag(experiment, NOTE, "Mine.")
    client.set_experiment_tag(experiment, f"{VIEW}fits", "{}")
    describe_experiment(client, experiment)
    tags = client.get_experiment(experiment).tags
    assert (tags[NOTE], tags[f"{VIEW}fits"]) == ("Mine.", VIEWS["fits"].state())


def test_two_processes_may_describe_an_experiment_at_once(store, monkeypatch):
    client, _ = store
    experiment, set_tag = client.create_experiment("two at once"), client.set_experiment_tag

    def refused(*tag):
        set_tag(*tag)  # by the other process
        raise MlflowException("UNIQUE constraint failed: experiment_tags.key")

    monkeypatch.setattr(client, "set_experiment_tag", refused)
    describe_experiment(client, experiment)
    assert client.get_experiment(experiment).tags[NOTE].startswith("Fits of **two at once**")
    monkeypatch.setattr(client, "set_experiment_tag", mock.Mock(side_effect=MlflowException("no")))
    with pytest.raises(MlflowException, match="no"):
        describe_experiment(client, client.create_experiment("refused"))

"""The first page of a dataset: its views find the runs they say, and nobody's words are lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from schemas.trace import TraceOrigin
from tasks.front_page import NOTE, VIEW, VIEWS, describe_experiment, run_note
from tests.tasks.fits import results_of


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with runs of every kind, by name."""
    client = MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('front') / 'mlflow.db'}")
    experiment = client.create_experiment("avana")

    def run(name, status="FINISHED", log_evidence=None, **tags):
        made = client.create_run(experiment, run_name=name, tags=tags)
        if log_evidence is not None:
            client.log_metric(made.info.run_id, "log_evidence", log_evidence)
        if status != "RUNNING":
            client.set_terminated(made.info.run_id, status)

    run("worse", log_evidence=-20.0, fit_key="a", verdict="pass")
    run("better", log_evidence=-10.0, fit_key="b", verdict="fail")
    run("comparison", kind="comparison")
    run("part", kind="part", log_evidence=-1.0)
    run("failed", status="FAILED", fit_key="c")
    run("running", status="RUNNING", fit_key="d")
    return client, experiment


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("fits", ["running", "failed", "better", "worse"]),
        ("usable", ["worse"]),
        ("models", ["better", "worse"]),
        ("comparisons", ["comparison"]),
        ("unfinished", ["running", "failed"]),
    ],
)
def test_a_view_finds_the_runs_it_says(store, view, expected):
    client, experiment = store
    shown = json.loads(VIEWS[view].state())
    order = [f"{shown['orderByKey']} DESC"]
    found = client.search_runs([experiment], shown["searchFilter"], order_by=order)
    assert [run.info.run_name for run in found][: len(expected)] == expected
    assert len(found) == len(expected) or view == "models"
    assert "part" not in {run.info.run_name for run in found}


def test_an_experiment_is_described_once(store):
    client, experiment = store
    describe_experiment(client, experiment)
    tags = client.get_experiment(experiment).tags
    assert {f"{VIEW}{key}" for key in VIEWS} <= set(tags)
    first = tags[NOTE].partition("\n")[0]
    for key, view in VIEWS.items():
        link = f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey="
        assert f"[{view.title}]({link}{key})" in first
    client.set_experiment_tag(experiment, NOTE, "Mine.")
    client.set_experiment_tag(experiment, f"{VIEW}fits", "{}")
    describe_experiment(client, experiment)
    tags = client.get_experiment(experiment).tags
    assert tags[NOTE] == "Mine."
    assert tags[f"{VIEW}fits"] == VIEWS["fits"].state()


def test_the_columns_of_the_views_are_those_of_runs(store):
    from tasks.track import _measures

    held = {f"metrics.`{name}`" for name in _measures(results_of(engine="exact"))}
    for key in ("fits", "usable", "models"):
        columns = {name for name in VIEWS[key].columns if name.startswith("metrics")}
        assert columns <= held


def test_the_note_of_a_fit_says_what_came_out():
    results = results_of(status="review")
    lines = run_note(results, "1", "0" * 32).split("\n")
    report = f"#/experiments/1/runs/{'0' * 32}/artifacts/report.html?workflowType=machine_learning"
    assert lines[0].startswith(f"Verdict: **review** · [report]({report}) · 3 genes x 4 cell lines")
    assert [line for line in lines if line.startswith("- ")]
    top = results.effects.nsmallest(1, "beta_mean").iloc[0]
    assert f"Most negative slopes (89 %): {top['gene']} {top['beta_mean']:.2f} (" in lines[-1]


def test_the_note_of_a_fit_says_which_effects_rest_on_one_line():
    results = results_of()
    carried = results.effects["beta_mean"] == results.effects["beta_mean"].min()
    effects = results.effects.assign(
        most_influential_line="ACH-000007", carried_by_one_line=carried
    )
    last = run_note(replace(results, effects=effects), "1", "0" * 32).split("\n")[-1]
    first, *others = last.split("; ")
    assert first.endswith(", rests on ACH-000007)")
    assert others and "rests on" not in " ".join(others)


def test_the_note_of_an_imported_fit_says_so():
    origin = TraceOrigin(location="old.nc", sha256="0" * 64, library="pymc3", version="3.9.3")
    note = run_note(replace(results_of(), origin=origin), "1", "0" * 32)
    assert note.endswith("Sampled by pymc3 3.9.3 and imported.")

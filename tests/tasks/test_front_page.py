"""The page of an experiment: its views find the runs they name, and nobody's words are lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from mlflow import MlflowClient

from schemas.trace import TraceOrigin
from tasks.front_page import NOTE, VIEW, VIEWS, describe_experiment, run_note
from tests.tasks.fits import results_of
from tests.tasks.pages import require_page


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


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("fits", ["running", "failed", "better", "worse"]),
        ("usable", ["worse"]),
        ("models", ["better", "worse", "running", "failed"]),
        ("comparisons", ["comparison"]),
        ("unfinished", ["running", "failed"]),
    ],
)
def test_a_view_finds_the_runs_it_names(store, view, expected):
    client, experiment = store
    shown = json.loads(VIEWS[view].state())
    order = [f"{shown['orderByKey']} DESC"]
    found = client.search_runs([experiment], shown["searchFilter"], order_by=order)
    assert [run.info.run_name for run in found] == expected


def test_the_columns_of_the_views_are_metrics_of_fits(exact_fit):
    for key in ("fits", "usable", "models"):
        columns = [name for name in VIEWS[key].columns if name.startswith("metrics")]
        held = {f"metrics.`{name}`" for name in exact_fit.stored.data.metrics}
        assert columns and set(columns) <= held


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


def test_the_note_of_a_fit_has_verdict_reasons_strongest_genes_and_origin():
    effects = pd.DataFrame(
        {
            "gene": ["A (1)", "B (2)", "C (3)"],
            "beta_mean": [-0.5, -1.25, 0.75],
            "beta_hdi_low": [-0.75, -1.5, 0.5],
            "beta_hdi_high": [-0.25, -1.0, 1.125],
            "most_influential_line": "ACH-000007",
            "carried_by_one_line": [False, True, None],
        }
    )
    origin = TraceOrigin(location="old.nc", sha256="0" * 64, library="pymc3", version="3.9.3")
    results = replace(results_of(status="review"), origin=origin, effects=effects)
    require_page("note_of_a_fit.md", run_note(results, "7", "0" * 32) + "\n")

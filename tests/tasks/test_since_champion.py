"""What the report says of the champion: there, not there, deleted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from schemas.parameters import FitParameters
from tasks.artifacts import FitResults
from tasks.registry import CHAMPION
from tasks.report import render_report
from tasks.since_champion import champion_fit, compare_with_champion
from tasks.track import track_fit
from tasks.tracked_fits import DamagedFit
from tasks.tracking_run import FitRun, open_run, seen_to_its_end
from tests.tasks.fits import REPORT, results_of
from tests.tasks.test_report import Page, effects_of


@pytest.fixture
def tracked(tmp_path, monkeypatch) -> tuple[FitResults, FitRun]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results = replace(results_of(FitParameters(model="m4")), effects=effects_of())
    with seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run:
        track_fit(run, results, REPORT, lambda: 25.0)
    return results, run


def test_without_a_champion_the_report_says_nothing_of_one(tracked):
    results, run = tracked
    assert champion_fit(run, results.dataset.name) is None
    assert "champion" not in Page(render_report(results, "run-17", "fit", {})).text


def test_the_report_says_what_changed_since_the_champion(tracked):
    results, run = tracked
    run.client.set_registered_model_alias(results.dataset.name, CHAMPION, "1")
    champion = champion_fit(run, results.dataset.name)
    assert champion is not None and champion.compared.summary.run_id == run.run_id

    other = replace(
        results,
        dataset=results.dataset.model_copy(update={"release": "25Q2"}),
        parameters=results.parameters.model_copy(update={"seed": 7}),
        effects=effects_of(beta_sd=0.1, lfsr=[0.001, 0.2, 0.3]).assign(
            gene=["SOX10B (6663)", "MYB (4602)", "NEW (1)"], beta_mean=[-2.25, -0.5, 0.125]
        ),
    )
    found = compare_with_champion(other, "run-18", champion)
    assert found.comparison.b.run_id == "run-18"
    assert found.comparison.hits_gained == ("SOX10B (6663)",)
    text = Page(render_report(other, "run-18", "fit", {}, found)).text
    assert "What changed since the champion" in text
    assert run.run_id in text and "screenbayes compare champion run-18" in text
    for expected in (
        "Genes renamed: 1: SOX10 (6663) -> SOX10B (6663)",
        "Genes only in B: 1: NEW (1)",
        "Hits gained: 1: SOX10B (6663)",
        "seed 103 7",
    ):
        assert expected in text


def test_a_champion_whose_run_is_deleted_is_none(tracked):
    results, run = tracked
    run.client.set_registered_model_alias(results.dataset.name, CHAMPION, "1")
    run.client.delete_run(run.run_id)
    assert champion_fit(run, results.dataset.name) is None


def test_a_champion_that_is_damaged_is_told(tracked):
    results, run = tracked
    run.client.set_registered_model_alias(results.dataset.name, CHAMPION, "1")
    stored = run.client.get_run(run.run_id).info.artifact_uri.removeprefix("file://")
    Path(stored, "gene_effects.parquet").write_bytes(b"PAR1")
    with pytest.raises(DamagedFit, match="damaged or gone"):
        champion_fit(run, results.dataset.name)

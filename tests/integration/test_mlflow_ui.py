"""MLflow's pages show the fits, in its API and in a real browser, on SQLite and on PostgreSQL.

On SQLite it is plain `mlflow ui` in the working folder, on PostgreSQL a server. Pictures of the
pages are left in the folder `pages` of the test, for people to look at.
"""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import mlflow.pyfunc
import pytest
import requests
from matplotlib.figure import Figure
from playwright.sync_api import Page, expect

from schemas.parameters import FitParameters
from tasks.track import track_fit
from tasks.tracking_run import FitRun, open_run, seen_to_its_end, where_to_look
from tests.integration.browser import SECONDS, shows
from tests.integration.processes import free_port, mlflow_server, postgres
from tests.tasks.fits import REPORT, convergence_of, dataset_of, results_of

pytestmark = [pytest.mark.integration]

RUN_NAMES = ("24Q4 m4 nuts", "24Q4 m4_zero_mean nuts")


@dataclass(frozen=True)
class Ui:
    address: str
    experiment_id: str
    runs: tuple[str, ...]
    """Ids of a fit that failed for want of evidence and of one that passed."""
    run_page: str
    """Page of the last run, as `where_to_look` gives it."""
    pages: Path


def picture() -> bytes:
    figure = Figure()
    figure.subplots().plot([0, 1, 0])
    figure.savefig(png := io.BytesIO(), format="png")
    return png.getvalue()


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
)
def ui(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """Two fits, their model with both aliases, and MLflow's pages on top of them."""
    folder = tmp_path_factory.mktemp("working_folder")
    pages = tmp_path_factory.mktemp(f"pages_{request.param}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        if request.param == "sqlite":
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            runs = two_fits()
            look = where_to_look(runs[-1])
            assert "mlflow ui " in look
            address = f"http://127.0.0.1:{free_port()}"
            with mlflow_ui(folder, address):
                page = address + look.partition("http://127.0.0.1:5000")[2]
                yield ui_of(address, runs, page, pages)
            return
        database = postgres(folder, port := free_port())
        store = f"postgresql+psycopg://postgres@127.0.0.1:{port}/mlflow"
        server = None
        try:
            server = mlflow_server(folder, port := free_port(), store, str(folder / "files"), {})
            patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
            runs = two_fits()
            look = where_to_look(runs[-1])
            yield ui_of(f"http://127.0.0.1:{port}", runs, look, pages)
        finally:
            if server is not None:
                server.stop()
            database.stop()


def two_fits() -> list[FitRun]:
    """A fit that failed for want of evidence, and one that passed; the latter has both aliases."""
    runs = []
    for results in (
        results_of(
            FitParameters(model="m4"),
            status="fail",
            convergence=convergence_of(rhat_max=float("nan"), divergences=7),
            figures={"trace": picture(), "volcano": picture()},
        ),
        results_of(
            FitParameters(model="m4_zero_mean"),
            convergence=convergence_of(rhat_max=1.003, ess_bulk_min=1234.5),
            figures={"trace": picture(), "volcano": picture()},
        ),
    ):
        with seen_to_its_end(
            open_run(results.dataset, results.parameters, results.data_digest)
        ) as run:
            track_fit(run, results, REPORT, lambda: 25.0)
        runs.append(run)
    for alias in ("champion", "challenger"):
        run.client.set_registered_model_alias("Avana sample", alias, "1")
    return runs


def ui_of(address: str, runs: list[FitRun], page: str, pages: Path) -> Ui:
    return Ui(address, runs[0].experiment_id, tuple(run.run_id for run in runs), page, pages)


@contextmanager
def mlflow_ui(folder: Path, address: str) -> Iterator[None]:
    """Plain `mlflow ui` in the folder; its processes are its own group, and end with it."""
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes that nothing here needs
        "MLFLOW_WORKERS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "ui.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "ui", "--port", address.rpartition(":")[2]],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_up(address, server, folder / "ui.log")
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_until_up(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    pytest.fail(f"mlflow ui is not up; it says\n{log.read_text()}")


# ---- the API behind the pages


def test_the_api_lists_both_runs_with_their_metrics(ui: Ui) -> None:
    search = {"experiment_ids": [ui.experiment_id]}
    answer = requests.post(f"{ui.address}/api/2.0/mlflow/runs/search", json=search, timeout=60)
    runs = {run["info"]["run_id"]: run for run in answer.json()["runs"]}
    metrics = [
        {metric["key"]: metric["value"] for metric in runs[run_id]["data"]["metrics"]}
        for run_id in ui.runs
    ]
    assert [run["info"]["status"] for run in runs.values()] == ["FINISHED"] * 2
    assert metrics[0]["rhat_max"] == "NaN"  # absent evidence, not 0
    assert metrics[1]["rhat_max"] == 1.003
    assert [metric["divergences"] for metric in metrics] == [7, 0]


def test_a_picture_can_be_fetched(ui: Ui) -> None:
    where = {"run_id": ui.runs[0], "path": "plots/trace.png"}
    answer = requests.get(f"{ui.address}/get-artifact", params=where, timeout=60)
    assert answer.content == picture()


def test_a_fit_is_tracked_through_the_server(ui: Ui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ui.address)
    results = results_of(
        dataset=dataset_of("Elsewhere"), convergence=convergence_of(bfmi_min=float("nan"))
    )
    with seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run:
        track_fit(run, results, REPORT, lambda: 25.0)

    assert where_to_look(run).startswith(f"{ui.address}/#/experiments/{run.experiment_id}/runs/")
    stored = run.client.get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert math.isnan(stored.data.metrics["bfmi_min"])
    files = {file.path for file in run.client.list_artifacts(run.run_id)}
    assert {"posterior.nc", "gene_effects.parquet", "plots", "report.html"} <= files
    (registered,) = run.client.search_model_versions("name = 'Elsewhere'")
    model = mlflow.pyfunc.load_model(f"models:/Elsewhere/{registered.version}")
    assert list(model.predict(model.input_example)) == ["logfc_mean", "logfc_low", "logfc_high"]


# ---- the pages


@pytest.mark.browser
def test_the_table_of_runs_shows_both_with_metrics(ui: Ui, page: Page) -> None:
    query = "workflowType=machine_learning&viewStateShareKey=fits"
    page.goto(f"{ui.address}/#/experiments/{ui.experiment_id}/runs?{query}")
    shows(page, "Avana sample", "2 matching runs", *RUN_NAMES)
    shows(page, "ess_bulk_min", "1234.5", "812.5", "rhat_max", "1.003", "NaN", "verdict", "fail")
    page.screenshot(path=ui.pages / "runs.png")


@pytest.mark.browser
def test_the_description_leads_to_views_of_the_runs(ui: Ui, page: Page) -> None:
    page.goto(f"{ui.address}/#/experiments/{ui.experiment_id}/runs?workflowType=machine_learning")
    shows(page, "Fits of Avana sample. Views: All fits", "2 matching runs")
    page.screenshot(path=ui.pages / "description.png")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Fits that may be used").first.click()
    view = opened.value
    shows(view, "1 matching run", RUN_NAMES[1])
    shows(view, "Metrics", "rhat_max", "1.003", "Tags", "verdict", "pass")
    expect(view.locator("body")).not_to_contain_text(RUN_NAMES[0])
    view.screenshot(path=ui.pages / "view.png")
    view.close()


@pytest.mark.browser
def test_runs_are_sorted_by_a_metric_and_filtered_by_verdict(ui: Ui, page: Page) -> None:
    query = "&orderByKey=metrics.%60ess_bulk_min%60&orderByAsc=true"
    page.goto(
        f"{ui.address}/#/experiments/{ui.experiment_id}/runs?workflowType=machine_learning{query}"
    )
    shows(page, "Sort: ess_bulk_min", "2 matching runs")
    names = page.get_by_text("24Q4 m4")
    expect(names.first).to_have_text(RUN_NAMES[0])
    search = page.get_by_placeholder("metrics.rmse < 1")
    search.fill("tags.verdict = 'pass'")
    search.press("Enter")
    shows(page, "1 matching run", RUN_NAMES[1])
    page.screenshot(path=ui.pages / "filtered.png")


@pytest.mark.browser
def test_the_report_opens_from_the_note_of_a_run(ui: Ui, page: Page) -> None:
    page.goto(ui.run_page)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="report", exact=True).click()
    artifacts = opened.value
    shows(artifacts, "report.html", "posterior.nc")
    frame = artifacts.frame_locator("iframe").first
    expect(frame.locator("body")).to_contain_text("Report")
    artifacts.screenshot(path=ui.pages / "report.png")
    artifacts.close()


@pytest.mark.browser
def test_the_registry_shows_the_version_with_its_aliases(ui: Ui, page: Page) -> None:
    page.goto(f"{ui.address}/#/models/Avana%20sample?workflowType=machine_learning")
    shows(page, "Avana sample", "Version 1", "@ champion", "@ challenger", "verdict", "pass")
    page.screenshot(path=ui.pages / "registry.png")


@pytest.mark.browser
def test_the_page_of_a_run_shows_verdict_metrics_dataset_and_model(ui: Ui, page: Page) -> None:
    page.goto(ui.run_page)
    shows(page, "Verdict: pass", "rhat_max", "1.003", "Exponential(1)", "Finished")
    shows(page, "Datasets", "logfc", "Logged models (1)", "Registered models")
    page.screenshot(path=ui.pages / "run.png")


@pytest.mark.browser
def test_the_artifacts_of_a_run_show_its_plots(ui: Ui, page: Page) -> None:
    path = f"runs/{ui.runs[0]}/artifacts/plots/trace.png"
    page.goto(f"{ui.address}/#/experiments/{ui.experiment_id}/{path}")
    shows(page, "plots", "trace.png", "volcano.png", "report.html", "posterior.nc")
    page.wait_for_function(
        "[...document.images].some(image => image.naturalWidth == 640)", timeout=60 * SECONDS
    )
    page.screenshot(path=ui.pages / "artifacts.png")


@pytest.mark.browser
def test_two_runs_stand_side_by_side(ui: Ui, page: Page) -> None:
    runs, experiments = quote(json.dumps(ui.runs)), quote(json.dumps([ui.experiment_id]))
    page.goto(f"{ui.address}/#/compare-runs?runs={runs}&experiments={experiments}")
    shows(page, "Comparing 2 Runs from 1 Experiment", "Show diff only", *RUN_NAMES)
    shows(page, "model m4 m4_zero_mean", "verdict fail pass")
    # Of many metrics the page shows those in sight; of what differs, all.
    page.get_by_text("Show diff only").nth(1).click()  # of metrics
    shows(page, "NaN 1.003", "812.5 1234.5")
    page.screenshot(path=ui.pages / "comparison.png")

"""`screenbayes serve` in a browser: an analyst triggers a fit, and MLflow's pages show the fits."""

import re
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from deployments.cli.app import main
from deployments.cli.demo import write_demo_dataset
from deployments.cli.exit_codes import BAD_INPUT
from schemas.parameters import FitParameters
from tasks.tracking.run import run_location
from tests.faults.catalogue import Area, Left, fault
from tests.integration.browser import SECONDS, shows
from tests.integration.processes import PATIENCE, Server, free_port, wait_until
from tests.tasks.fits import convergence_of, results_of
from tests.tasks.stores import track

pytestmark = [pytest.mark.slow, pytest.mark.integration]

FIT = "simulated-release m4_screen-seed103 m4_zero_mean"
RUN_NAMES = ("24Q4 m4 nuts", "24Q4 m4_zero_mean nuts")


@dataclass(frozen=True)
class Served:
    """A running `serve`: its folder, its ports, and the addresses it printed, by name."""

    folder: Path
    prefect: str
    printed: dict[str, str]

    @property
    def mlflow(self) -> str:
        return self.printed["Fits in MLflow"].split("/#")[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    command = [sys.executable, "-m", "deployments.cli.app", "serve", *ports]
    server = Server("serve", folder, command, {"PYTHONPATH": str(Path(__file__).parents[2])})
    try:
        server.start(lambda: "Ctrl-C stops" in server.log.read_text())
        said = server.log.read_text()
        process = psutil.Process(server.pid)
        children = process.children(recursive=True)
        assert len(children) >= 3
        printed = dict(re.findall(r"^([A-Z][\w ,]+): (\S+)$", said, re.MULTILINE))
        yield Served(folder, ports[1], printed)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "Stopped." in server.log.read_text()
        assert not [child for child in children if child.is_running()]
        socket.create_server(("127.0.0.1", int(ports[1]))).close()
    finally:
        server.stop()


def field(page: Page, title: str) -> Locator:
    """The part of Prefect's form with this title."""
    return page.locator(".p-label").filter(has_text=re.compile(f"^{title}")).last


def fill(control: Locator, text: str) -> None:
    """Type into a control of Prefect's form, which takes the value a moment after it loses focus.

    Whoever submits within that moment submits the old value; nothing shows when it is over.
    """
    control.fill(text)
    control.press("Tab")
    control.page.wait_for_timeout(SECONDS)


@pytest.mark.browser
def test_an_analyst_triggers_a_fit_and_opens_its_run(served: Served, browser, tmp_path) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1400})
    page.set_default_timeout(60 * SECONDS)
    page.goto(served.printed["Trigger a fit"])
    field(page, "Dataset file").locator("textarea").fill(served.printed["Example screen"])
    # A real click opens the menu by focus, and then shuts it.
    field(page, "Model").locator(".p-select-button").dispatch_event("click")
    page.get_by_role("option", name="m4_zero_mean").click()
    genes = field(page, "Genes")
    for place, gene in enumerate(("SIM1", "SIM2", "900004")):
        genes.get_by_role("button", name="Add item").click()
        expect(genes.locator("textarea")).to_have_count(place + 1)
        fill(genes.locator("textarea").nth(place), gene)
    fill(field(page, "Seed").locator("input"), "-1")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("-1 is less than the minimum of 0").first).to_be_visible()

    fill(field(page, "Seed").locator("input"), "7")
    page.get_by_role("button", name="Submit").click()
    expect(page).not_to_have_url(re.compile("/run$"), timeout=60 * SECONDS)
    page.goto(served.printed["Flow runs"])
    # A run is named once it has begun; the refused one never has.
    expect(page.get_by_text(FIT)).to_have_count(1, timeout=240 * SECONDS)
    page.get_by_text(FIT).click()
    expect(page.get_by_text("Artifacts", exact=True)).to_be_visible()

    def is_completed() -> bool:  # the result is listed before the run in MLflow is finished
        page.reload()
        page.get_by_text("Artifacts", exact=True).click()
        expect(page.get_by_text("validation", exact=True)).to_be_visible()
        return page.get_by_text("Completed", exact=True).count() > 0

    wait_until(is_completed, PATIENCE, "the run is completed")
    page.get_by_text("result", exact=True).click()
    shows(page, "of 3 genes are needed more")
    page.screenshot(path=tmp_path / "result.png", full_page=True)

    page.get_by_text("The run in MLflow").click()
    page.wait_for_timeout(2 * SECONDS)  # in this tab or in a new one
    run = page.context.pages[-1]
    expect(run.get_by_text("m4_screen-seed103 m4_zero_mean exact").first).to_be_visible()
    expect(run.get_by_text("Finished").first).to_be_visible()
    assert run.url.startswith(served.mlflow)


@pytest.mark.browser
@fault(
    Area.UNATTENDED,
    "an invalid screen, entered in the form",
    left="a refused flow run with remedies; no run in MLflow",
)
def test_an_invalid_screen_is_refused_with_what_to_do(served: Served, page, tmp_path) -> None:
    path = write_demo_dataset(tmp_path)
    table = tmp_path / "simulated_screen.csv"
    table.write_text(table.read_text().replace("-1.187443", "oops", 1))
    api = f"http://127.0.0.1:{served.prefect}/api"
    deployment = served.printed["Trigger a fit"].split("/")[-2]
    address, screen = f"{api}/deployments/{deployment}/create_flow_run", {"dataset_file": str(path)}
    answer = requests.post(address, json={"parameters": screen}, timeout=30)
    assert answer.ok, answer.text
    run = answer.json()["id"]

    def state() -> str:
        return str(requests.get(f"{api}/flow_runs/{run}", timeout=30).json()["state"]["name"])

    # An attempt that fails for want of a service on a busy machine is scheduled again.
    wait_until(lambda: state() in ("Refused", "Completed"), PATIENCE, "Refused or Completed")
    assert state() == "Refused"
    page.goto(served.printed["Flow runs"] + f"/flow-run/{run}")
    shows(page, "Refused: simulated-screen seed103", "got 'oops")
    expect(page.get_by_text("Traceback")).to_have_count(0)
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("validation", exact=True).click()
    shows(page, "1 error(s)", "not_a_number", "what to do:")


@fault(
    Area.SERVERS,
    "`serve` with a used port or folder",
    code=BAD_INPUT,
    told=("--prefect-port: expected a free port", "is running already"),
    left=Left.AS_BEFORE,
)
def test_a_port_or_a_folder_is_served_once(served: Served, capsys, tmp_path) -> None:
    free = ["--mlflow-port", str(free_port())]
    arguments = ["serve", "--prefect-port", served.prefect, "--folder", str(tmp_path), *free]
    assert main(arguments) == BAD_INPUT
    assert f"--prefect-port: expected a free port, {served.prefect}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    folder = ["--folder", str(served.folder / "screenbayes-workbench")]
    assert main(["serve", "--prefect-port", str(free_port()), *folder, *free]) == BAD_INPUT
    assert "is running already" in capsys.readouterr().err


# ---- MLflow's pages


@dataclass(frozen=True)
class Tracked:
    """Two fits in the MLflow of `serve`; the second has passed, and is the champion."""

    address: str
    experiment_id: str
    runs: tuple[str, ...]
    page: str
    """Address of the page of the second, as a fit prints it."""


@pytest.fixture(scope="module")
def tracked(served: Served) -> Iterator[Tracked]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", served.mlflow)
        poor = convergence_of(rhat_max=float("nan"), divergences=7)
        good = convergence_of(rhat_max=1.003, ess_bulk_min=1234.5)
        first, _ = track(results_of(status="fail", convergence=poor))
        second, _ = track(results_of(FitParameters(model="m4_zero_mean"), convergence=good))
        for alias in ("champion", "challenger"):
            second.client.set_registered_model_alias("Avana sample", alias, "1")
        page = run_location(second)
        yield Tracked(served.mlflow, first.experiment_id, (first.run_id, second.run_id), page)


@pytest.mark.browser
def test_the_table_of_runs_shows_filters_and_sorts_the_fits(tracked: Tracked, page: Page) -> None:
    runs = f"{tracked.address}/#/experiments/{tracked.experiment_id}/runs"

    def open_anew(address: str) -> None:
        page.goto("about:blank")  # or the page would keep the filters of the last address
        page.goto(address)

    open_anew(f"{runs}?workflowType=machine_learning&viewStateShareKey=fits")
    shows(page, "Avana sample", "2 matching runs", *RUN_NAMES)
    shows(page, "ess_bulk_min", "1234.5", "812.5", "rhat_max", "1.003", "NaN", "verdict", "fail")

    open_anew(f"{runs}?workflowType=machine_learning")
    shows(page, "Fits of Avana sample. Views: All fits", "2 matching runs")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Fits that may be used").first.click()
    view = opened.value
    shows(view, "1 matching run", RUN_NAMES[1], "rhat_max", "1.003", "verdict", "pass")
    expect(view.locator("body")).not_to_contain_text(RUN_NAMES[0])


@pytest.mark.browser
def test_the_page_of_a_run_shows_verdict_report_pictures_and_model(tracked: Tracked, page) -> None:
    page.goto(tracked.page)
    shows(page, "Verdict: pass", "rhat_max", "1.003", "Exponential(1)", "Finished")
    shows(page, "Datasets", "logfc", "Logged models (1)", "Registered models")
    for name, words in (("report", "Report"), ("genes", "Genes")):
        with page.context.expect_page() as opened:
            page.get_by_role("link", name=name, exact=True).click()
        shows(opened.value, "report.html", "explorer.html", "posterior.nc")
        frame = opened.value.frame_locator("iframe").first
        expect(frame.locator("body")).to_contain_text(words)

    path = f"runs/{tracked.runs[0]}/artifacts/plots/trace.png"
    page.goto(f"{tracked.address}/#/experiments/{tracked.experiment_id}/{path}")
    shows(page, "plots", "trace.png", "volcano.png", "report.html", "posterior.nc")
    page.goto(f"{tracked.address}/#/models/Avana%20sample?workflowType=machine_learning")
    shows(page, "Version 1", "@ champion", "@ challenger", "verdict", "pass")

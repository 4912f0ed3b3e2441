"""An analyst's afternoon at the workbench: serve, trigger in a browser, follow the link, end it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from deployments.command_line import main
from deployments.demo import write_demo_dataset
from deployments.exit_codes import BAD_INPUT
from tests.faults.catalogue import Area, Left, fault
from tests.integration.browser import SECONDS, shows
from tests.integration.processes import free_port, wait_until

pytestmark = [pytest.mark.integration]

NAME = "simulated-screen seed103 m4_zero_mean"


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A workbench in an empty folder; what it printed, by name, and its process id."""
    folder = tmp_path_factory.mktemp("workbench")
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    log = folder / "out.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments.command_line", "serve", *ports],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_until(lambda: "Ctrl-C takes" in log.read_text(), 180, f"the workbench is up; see {log}")
    printed = dict(re.findall(r"^([A-Z][\w ,]+): (\S+)$", log.read_text(), re.MULTILINE))
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 3
    yield printed | {"folder": str(folder), "port": ports[1]}
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert "Down." in log.read_text()
    assert not [child for child in children if child.is_running()]
    socket.create_server(("127.0.0.1", int(ports[1]))).close()


def field(page: Page, title: str) -> Locator:
    """The part of Prefect's form that has this title."""
    return page.locator(".p-label").filter(has_text=re.compile(f"^{title}")).last


def test_an_analyst_triggers_a_fit_and_finds_it(
    workbench: dict[str, str], browser: Browser, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1400})
    page.set_default_timeout(60 * SECONDS)
    page.goto(workbench["Trigger a fit"])
    field(page, "Dataset file").locator("textarea").fill(workbench["A screen to try"])
    # With a real click the menu opens by the focus, and the click shuts it.
    field(page, "Model").locator(".p-select-button").dispatch_event("click")
    page.get_by_role("option", name="m4_zero_mean").click()
    genes = field(page, "Genes")
    for place, gene in enumerate(("geneA", "geneB", "geneD")):
        genes.get_by_role("button", name="Add item").click()
        expect(genes.locator("textarea")).to_have_count(place + 1)
        fill(genes.locator("textarea").nth(place), gene)
    fill(field(page, "Seed").locator("input"), "-1")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("-1 is less than the minimum of 0").first).to_be_visible()
    page.screenshot(path=tmp_path / "refused.png", full_page=True)

    fill(field(page, "Seed").locator("input"), "7")
    page.get_by_role("button", name="Submit").click()
    expect(page).not_to_have_url(re.compile("/run$"))
    page.goto(workbench["All runs of flows"])
    # Its name it has once it has begun; the refused one has not.
    expect(page.get_by_text(NAME)).to_have_count(1, timeout=90 * SECONDS)
    page.get_by_text(NAME).click()
    expect(page.get_by_text("Artifacts", exact=True)).to_be_visible()

    def the_result_is_there() -> bool:
        page.reload()
        page.get_by_text("Artifacts", exact=True).click()
        expect(page.get_by_text("validation", exact=True)).to_be_visible()
        return page.get_by_text("result", exact=True).count() > 0

    # The list does not grow by itself.
    wait_until(the_result_is_there, 120, "the page `result` of the run")
    page.get_by_text("result", exact=True).click()
    expect(page.get_by_text("Most negative slopes on RNA (3 of 3 genes)")).to_be_visible()
    page.screenshot(path=tmp_path / "result.png", full_page=True)

    page.get_by_text("The run in MLflow").click()
    page.wait_for_timeout(2 * SECONDS)  # in this tab or in a new one
    run = page.context.pages[-1]
    expect(run.get_by_text("seed103 m4_zero_mean exact").first).to_be_visible()
    expect(run.get_by_text("Finished").first).to_be_visible()
    run.screenshot(path=tmp_path / "mlflow.png", full_page=True)
    assert run.url.startswith(workbench["Fits, to compare"].split("/#")[0])


@fault(
    Area.UNATTENDED,
    "a screen that may not be fitted is given in the form",
    made="a table with a word for a number, at a running workbench",
    left="the flow run, refused, with what to do; no run in MLflow",
)
def test_a_spoiled_screen_is_refused_with_what_to_do(
    workbench: dict[str, str], browser: Browser, tmp_path: Path
) -> None:
    path = write_demo_dataset(tmp_path)
    table = tmp_path / "simulated_screen.csv"
    table.write_text(table.read_text().replace("-1.187443", "oops", 1))
    api = f"http://127.0.0.1:{workbench['port']}/api"
    deployment = workbench["Trigger a fit"].split("/")[-2]
    answer = requests.post(
        f"{api}/deployments/{deployment}/create_flow_run",
        json={"parameters": {"dataset_file": str(path)}},
        timeout=30,
    )
    assert answer.ok, answer.text
    run = answer.json()["id"]

    def state() -> str:
        return str(requests.get(f"{api}/flow_runs/{run}", timeout=30).json()["state"]["name"])

    wait_until(lambda: state() in ("Refused", "Failed", "Crashed", "Completed"), 240, "its end")
    assert state() == "Refused"
    page = browser.new_page(viewport={"width": 1400, "height": 1400})
    page.set_default_timeout(60 * SECONDS)
    page.goto(workbench["All runs of flows"] + f"/flow-run/{run}")
    shows(page, "Refused: simulated-screen seed103 breaks 1 rule(s)", "got 'oops")
    expect(page.get_by_text("Traceback")).to_have_count(0)
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("validation", exact=True).click()
    shows(page, "Must not be fitted: 1 error(s)", "not_a_number", "what to do:")
    page.screenshot(path=tmp_path / "validation.png", full_page=True)


@fault(
    Area.SERVERS,
    "`serve` at a port where somebody listens",
    made="the port of a running workbench",
    code=BAD_INPUT,
    told=("--prefect-port: expected a free port",),
    left=Left.AS_BEFORE,
)
def test_a_port_in_use_is_told_before_anything_starts(
    workbench: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = ["--folder", str(tmp_path), "--mlflow-port", str(free_port())]
    assert main(["serve", "--prefect-port", workbench["port"], *other]) == BAD_INPUT
    assert f"--prefect-port: expected a free port, {workbench['port']}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@fault(
    Area.PROCESSES,
    "`serve` in a folder that is served already",
    made="the folder of a running workbench",
    code=BAD_INPUT,
    told=("is up already",),
    left=Left.AS_BEFORE,
)
def test_a_folder_is_served_once(
    workbench: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(workbench["folder"]) / "screenbayes-workbench"
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    assert main(["serve", "--folder", str(folder), *ports]) == BAD_INPUT
    assert "is up already" in capsys.readouterr().err


def fill(control: Locator, text: str) -> None:
    """Type into a control of Prefect's form, which takes the value a moment after it is left.

    Who submits within that moment submits the value before; nothing tells when it is over.
    """
    control.fill(text)
    control.press("Tab")
    control.page.wait_for_timeout(SECONDS)

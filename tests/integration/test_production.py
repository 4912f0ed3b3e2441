"""Unattended runs on the production stack: each release is fitted once, whatever is killed.

One stack serves the file: PostgreSQL, a bucket, Prefect, MLflow and a worker, by the compose file.
"""

import time
from collections.abc import Iterator

import pytest
import requests
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from tests.faults.catalogue import Area, fault
from tests.integration.processes import PATIENCE, wait_until
from tests.integration.stack import Stack, running_stack
from tests.soak import watch

# Beyond PATIENCE, which says what the flow run went through.
pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1200)]

TABLE = "simulated_screen.csv"
SLOW_FIT = {"engine": "nuts", "sampling": {"draws": 6000, "tune": 2000}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, s3_endpoint: str) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), s3_endpoint) as found:
        yield found


def test_mlflow_refuses_a_host_it_was_not_told_of(stack: Stack) -> None:
    address = f"{stack.environment['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/experiments/search"
    answer = requests.get(address, headers={"Host": "elsewhere.example"}, timeout=10)
    assert answer.status_code == 403


def test_each_release_is_fitted_once_and_compared_with_the_one_before(stack: Stack) -> None:
    stack.put_release("24Q2")
    first = stack.trigger("refresh-releases")
    assert stack.wait_for(first, "Completed", "Failed", "Crashed", "Refused") == "Completed"
    wait_until(lambda: len(stack.finished()) == 1, PATIENCE, "24Q2 fitted")

    stack.put_release("24Q4", rows=280)
    emit_event("screen.release.landed", {"prefect.resource.id": "screen.release.24Q4"})
    EventsWorker.drain_all()
    wait_until(lambda: len(stack.finished()) == 2, PATIENCE, "24Q4 fitted after the event")
    wait_until(
        lambda: [run.info.status for run in stack.tracked("comparison")] == ["FINISHED"],
        PATIENCE,
        "24Q4 compared",
    )
    a, b = stack.finished()
    (compared,) = stack.tracked("comparison")
    tags = compared.data.tags
    assert (tags["run_a"], tags["run_b"]) == (a.info.run_id, b.info.run_id)
    assert compared.info.run_name == "24Q2 -> 24Q4 m4"

    stack.wait_until_idle()
    for _ in range(2):  # at the same time
        stack.trigger("refresh-releases")
    stack.wait_until_idle()
    assert len(stack.flow_runs("fit-screen")) == 2
    assert len(stack.tracked()) == 2 and len(stack.tracked("comparison")) == 1
    # The newest fit was evaluated for promotion, as far as there is a calibration of this code.
    assert stack.finished()[-1].data.tags["gate"] in {"passed", "refused: calibration"}
    promoted = [run.parameters["run"] for run in stack.flow_runs("promote-fit")]
    assert b.info.run_id in promoted and len(set(promoted)) == len(promoted)


@fault(
    Area.UNATTENDED,
    "an invalid release, later replaced",
    left="a refused flow run with remedies; the replacement is fitted",
)
def test_an_invalid_release_is_refused_once_and_fitted_by_the_schedule_when_replaced(stack) -> None:
    """SQLAlchemy 2.1 stores schedules that never create a run: that one is stored shows nothing."""
    address = stack.put_release("25Q2")
    table = address.removeprefix(f"s3://{stack.bucket}/").replace("dataset.yaml", TABLE)
    stack.put(table, "gene,cell_line,rna,sgrna_idx,logfc\na,b,1,0,oops\n")
    before = len(stack.finished())
    for _ in range(2):
        time.sleep(2)
        stack.trigger("refresh-releases")
        stack.wait_until_idle()
    fits = stack.flow_runs("fit-screen")
    refused = [run for run in fits if run.parameters["dataset_file"] == address]
    assert [run.state_name for run in refused] == ["Refused"]
    assert refused[0].state is not None and "oops" in str(refused[0].state.message)
    pages = [page for page in stack.client.read_artifacts() if page.flow_run_id == refused[0].id]
    assert any(page.key == "validation" and "oops" in str(page.data) for page in pages)
    assert len(stack.finished()) == before

    stack.deploy(SCREENBAYES_REFRESH_CRON="* * * * *")
    stack.put_release("25Q2", rows=290)
    wait_until(lambda: len(stack.finished()) == before + 1, PATIENCE, "25Q2 fitted by the schedule")
    stack.deploy()


def test_deploying_again_creates_nothing_twice(stack: Stack) -> None:
    def there() -> tuple[list[str], list[str]]:
        deployments = [found.name for found in stack.client.read_deployments()]
        automations = stack.client.request("POST", "/automations/filter", json={}).json()
        return sorted(deployments), sorted(found["name"] for found in automations)

    once = there()
    stack.deploy()
    assert there() == once
    assert {"fit-screen", "refresh-releases", "compare-runs", "calibrate"} <= set(once[0])
    assert len(set(once[1])) == len(once[1]) == 4


# ---- kill -9


KILLED = fault(
    Area.UNATTENDED,
    "fit, worker, a server or the database killed during a fit",
    left="one FINISHED run; others give the reason",
)


def start_slow_fit(stack: Stack, dataset: str) -> FlowRun:
    """Trigger a fit of a dataset of this name, and return once its run is open."""
    run = stack.fit(stack.put_dataset(dataset), **SLOW_FIT)
    wait_until(lambda: len(stack.tracked(dataset=dataset)) == 1, PATIENCE, "the fit is running")
    return run


def kill_flow_process(stack: Stack, run: FlowRun) -> None:
    dict(watch.processes_of(stack))[str(run.id)].kill()


@pytest.fixture(scope="module")
def killed(stack: Stack) -> dict[str, FlowRun]:
    """Fits whose processes were killed, by victim.

    A fit killed with its worker counts as crashed when its heartbeats have stopped for 90 s: the
    other kills are made meanwhile.
    """
    stack.wait_until_idle()
    runs = {"both": start_slow_fit(stack, "killed both")}
    kill_flow_process(stack, runs["both"])
    stack.worker.kill()
    stack.worker.start_again()
    runs["worker"] = start_slow_fit(stack, "killed worker")
    stack.worker.kill(alone=True)
    stack.worker.start_again()
    runs["flow process"] = start_slow_fit(stack, "killed flow process")
    kill_flow_process(stack, runs["flow process"])
    return runs


def assert_finished_once(stack: Stack, run: FlowRun, dataset: str) -> None:
    stack.wait_for(run, "Completed")
    assert len(stack.finished(dataset)) == 1
    for tracked in stack.tracked(dataset=dataset):
        if tracked.info.status != "FINISHED":
            assert tracked.info.status in ("KILLED", "FAILED") and tracked.data.tags["failure"]


@KILLED
@pytest.mark.parametrize("victim", ["both", "worker", "flow process"])
def test_a_fit_whose_process_is_killed_is_finished_once(stack, killed, victim) -> None:
    assert_finished_once(stack, killed[victim], f"killed {victim}")


@KILLED
def test_a_fit_survives_the_kill_of_each_server(stack: Stack) -> None:
    stack.wait_until_idle()
    run = start_slow_fit(stack, "killed servers")
    for server in (stack.mlflow, stack.prefect, stack.postgres):
        server.kill()
        time.sleep(3)
        server.start_again()
    assert_finished_once(stack, run, "killed servers")
    assert "Traceback" not in str(stack.client.read_flow_run(run.id).state)


@fault(
    Area.UNATTENDED,
    "two fits, each triggered three times together",
    left="each computed once",
)
def test_fits_triggered_together_are_each_computed_once(stack: Stack) -> None:
    stack.wait_until_idle()
    address = stack.put_dataset("together")
    looks = len(stack.flow_runs("refresh-releases"))
    runs = [stack.fit(address, seed=n % 2) for n in range(6)]
    for run in runs:
        stack.wait_for(run, "Completed")
    fitted = sorted(run.data.params["seed"] for run in stack.tracked(dataset="together"))
    assert fitted == ["0", "1"]
    assert len(stack.flow_runs("refresh-releases")) == looks  # none of them is of a release


def test_a_calibration_runs_on_a_worker(stack: Stack) -> None:
    stack.wait_until_idle()
    settings = {"model": "m4_zero_mean", "engine": "exact", "simulations": 60}
    run = stack.trigger("calibrate", settings=settings)
    stack.wait_for(run, "Completed")
    (tracked,) = stack.tracked("calibration", dataset="calibration")
    assert tracked.info.status == "FINISHED" and tracked.data.tags["verdict"] == "pass"
    assert stack.client.read_flow_run(run.id).name == "calibrate m4_zero_mean exact"

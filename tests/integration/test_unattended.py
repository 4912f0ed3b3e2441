"""What runs by itself, on a production stack: each release fitted once, whatever is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from tests.faults.catalogue import Area, fault
from tests.integration.processes import PATIENCE, wait_until
from tests.integration.stack import Stack, running_stack

pytestmark = [pytest.mark.slow, pytest.mark.integration]

TABLE = "simulated_screen.csv"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, s3_endpoint: str) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), s3_endpoint) as found:
        yield found


def flow_process(run_id: object) -> int:
    """Pid of the process a flow run is executed in."""
    found = [
        process.pid
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID") == str(run_id)
    ]
    return max(found, default=0)


def test_from_nothing_each_release_is_fitted_once_and_compared(stack: Stack) -> None:
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
    assert (compared.data.tags["run_a"], compared.data.tags["run_b"]) == (
        a.info.run_id,
        b.info.run_id,
    )
    assert compared.info.run_name == "24Q2 -> 24Q4 m4"

    wait_until(stack.all_quiet, PATIENCE, "all quiet")
    for _ in range(2):  # together
        stack.trigger("refresh-releases")
    wait_until(stack.all_quiet, PATIENCE, "all quiet again")
    assert len(stack.flow_runs("fit-screen")) == 2
    assert len(stack.tracked()) == 2 and len(stack.tracked("comparison")) == 1
    # The newest fit was put to the gate, which no calibration opens here.
    assert stack.finished()[-1].data.tags["gate"] == "refused: calibration"
    promoted = [run.parameters["run"] for run in stack.flow_runs("promote-fit")]
    assert b.info.run_id in promoted and len(set(promoted)) == len(promoted)


@fault(
    Area.UNATTENDED,
    "a release that may not be fitted lands, and is replaced",
    made="a table with a word for a number in the bucket, and two looks",
    left="one flow run, refused, with what to do; the release that replaces it is fitted",
)
def test_a_spoiled_release_is_reported_once_and_taken_up_when_replaced(stack: Stack) -> None:
    address = stack.put_release("25Q2")
    table = address.removeprefix(f"s3://{stack.bucket}/").replace("dataset.yaml", TABLE)
    stack.put(table, "gene,cell_line,rna,sgrna_idx,logfc\na,b,1,0,oops\n")
    before = len(stack.finished())
    for _ in range(2):
        time.sleep(2)
        stack.trigger("refresh-releases")
        wait_until(stack.all_quiet, PATIENCE, "all quiet")
    spoiled = [
        run for run in stack.flow_runs("fit-screen") if run.parameters["dataset_file"] == address
    ]
    assert [run.state_name for run in spoiled] == ["Refused"]
    assert spoiled[0].state is not None and "oops" in str(spoiled[0].state.message)
    pages = [a for a in stack.client.read_artifacts() if a.flow_run_id == spoiled[0].id]
    assert any(page.key == "validation" and "oops" in str(page.data) for page in pages)
    assert len(stack.finished()) == before

    stack.put_release("25Q2", rows=290)
    time.sleep(2)
    stack.trigger("refresh-releases")
    wait_until(lambda: len(stack.finished()) == before + 1, PATIENCE, "the replaced release fitted")


def test_the_schedule_fires_by_itself(stack: Stack) -> None:
    """SQLAlchemy 2.1 stores schedules that never create a run: a stored one shows nothing."""
    before = len(stack.finished())
    stack.deploy(SCREENBAYES_REFRESH_CRON="* * * * *")
    stack.put_release("26Q2", rows=270)
    wait_until(lambda: len(stack.finished()) == before + 1, PATIENCE, "26Q2 fitted by the schedule")
    stack.deploy()


def test_deploying_again_makes_nothing_twice(stack: Stack) -> None:
    def there() -> tuple[list[str], list[str]]:
        deployments = [found.name for found in stack.client.read_deployments()]
        automations = stack.client.request("POST", "/automations/filter", json={}).json()
        return sorted(deployments), sorted(found["name"] for found in automations)

    once = there()
    stack.deploy()
    assert there() == once
    assert len(set(once[1])) == len(once[1]) == 4


VICTIMS = {
    "flow process": "the process of a fit",
    "worker": "the worker, and not the fit it has begun,",
    "both": "worker and fit together",
    "prefect": "the Prefect server",
    "mlflow": "the MLflow server",
    "postgres": "the database of both servers",
}


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param(
            victim,
            marks=fault(
                Area.UNATTENDED,
                f"{words} killed in the middle of a fit",
                made="kill -9; servers and workers are started again",
                left="one run FINISHED, begun again where it had to be; the others say why not",
            ),
            id=victim,
        )
        for victim, words in VICTIMS.items()
    ],
)
def test_what_is_killed_is_finished_after_all(stack: Stack, victim: str) -> None:
    """Kill -9 in the middle of a fit: one finished run in the end, the rest is named."""
    wait_until(stack.all_quiet, PATIENCE, "all quiet")
    dataset = f"killed {victim}"
    address = stack.put_dataset(dataset)
    slow = {"engine": "nuts", "sampling": {"draws": 6000, "tune": 2000, "sampler": "nutpie"}}
    run = stack.trigger("fit-screen", dataset_file=address, parameters=slow)
    wait_until(lambda: len(stack.tracked(dataset=dataset)) == 1, PATIENCE, "the fit under way")
    match victim:
        case "flow process":
            os.kill(flow_process(run.id), signal.SIGKILL)
        case "worker":
            stack.worker.kill(alone=True)
            stack.worker.start_again()
        case "both":
            os.kill(flow_process(run.id), signal.SIGKILL)
            stack.worker.kill()
            stack.worker.start_again()
        case "prefect":
            stack.prefect.kill()
            time.sleep(5)
            stack.prefect.start_again()
        case "mlflow":
            stack.mlflow.kill()
            time.sleep(10)
            stack.mlflow.start_again()
        case "postgres":
            stack.postgres.kill()
            time.sleep(5)
            stack.postgres.start_again()
    stack.wait_for(run, "Completed")
    assert len(stack.finished(dataset)) == 1
    for left in stack.tracked(dataset=dataset):
        if left.info.status != "FINISHED":
            assert left.info.status in ("KILLED", "FAILED")
            assert "died" in left.data.tags["failure"] or left.data.tags["failure"]


@fault(
    Area.UNATTENDED,
    "the same fit is triggered several times at once",
    made="twenty triggers of five fits",
    left="each of the five once",
)
def test_twenty_triggers_are_all_fitted_none_twice(stack: Stack) -> None:
    wait_until(stack.all_quiet, PATIENCE, "all quiet")
    address = stack.put_dataset("twenty")
    looks = len(stack.flow_runs("refresh-releases"))
    seeds = [seed % 5 for seed in range(20)]  # each four times
    runs = [
        stack.trigger("fit-screen", dataset_file=address, parameters={"seed": seed})
        for seed in seeds
    ]
    for run in runs:
        stack.wait_for(run, "Completed")
    fitted = sorted(run.data.params["seed"] for run in stack.tracked(dataset="twenty"))
    assert fitted == ["0", "1", "2", "3", "4"]
    assert len(stack.flow_runs("refresh-releases")) == looks  # none of them is of a release


def test_a_calibration_runs_on_a_worker(stack: Stack) -> None:
    wait_until(stack.all_quiet, PATIENCE, "all quiet")
    settings = {"model": "m4_zero_mean", "engine": "exact", "simulations": 60}
    run = stack.trigger("calibrate", settings=settings)
    stack.wait_for(run, "Completed")
    (tracked,) = stack.tracked("calibration", dataset="calibration")
    assert tracked.info.status == "FINISHED" and tracked.data.tags["verdict"] == "pass"
    named = stack.client.read_flow_run(run.id)
    assert named.name == "calibrate m4_zero_mean exact"

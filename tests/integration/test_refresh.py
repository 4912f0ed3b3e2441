"""Which flow runs are started, started again, or given up, at a real Prefect server."""

from collections.abc import Iterator
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running

from flows.refresh_releases import mark_started
from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.release_status import ReleaseStatus, SeenRelease
from tasks.runtime import prefect_runs as flow_runs
from tasks.runtime.listener import listen
from tests.faults.catalogue import Area, Classes, fault, variants
from tests.integration.processes import wait_until

pytestmark = [pytest.mark.integration]

NAME = "refreshed"


@pytest.fixture
def client(prefect_server: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        flow = found.create_flow_from_name(NAME)
        found.create_deployment(flow, NAME)
        for run in found.read_flow_runs():
            found.delete_flow_run(run.id)
        yield found


def run_with_states(client: SyncPrefectClient, *states: State[Any]) -> FlowRun:
    deployment = client.read_deployment_by_name(f"{NAME}/{NAME}")
    run = client.create_flow_run_from_deployment(deployment.id)
    for state in states:
        client.set_flow_run_state(run.id, state, force=True)
    return client.read_flow_run(run.id)


LOST = fault(Area.UNATTENDED, "a flow run loses its process", left="restarted at once")
AWAY = fault(Area.UNATTENDED, "a flow run fails", left="restarted after a minute")
ENDS: Classes = [(LOST, [(Crashed(),)]), (AWAY, [(Failed(message="MLflow is away"),)])]


@pytest.mark.parametrize(("end", "told"), variants(ENDS))
def test_a_run_that_crashed_or_failed_is_scheduled_again(client, end, told) -> None:
    run = run_with_states(client, Running(), end)
    again, given_up = flow_runs.reschedule_failed([NAME])
    assert ([one.id for one in again], given_up) == ([run.id], [])
    state = client.read_flow_run(run.id).state
    assert state.is_scheduled()
    wait = state.state_details.scheduled_time - datetime.now(UTC)
    expected = timedelta(minutes=1) if end.is_failed() else timedelta(0)
    assert abs(wait - expected) < timedelta(seconds=20)
    assert flow_runs.reschedule_failed([NAME]) == ([], [])


@pytest.mark.parametrize(
    "end", [Completed(), Running(), Pending(), flow_runs.refused_state(UserError("oops"))], ids=str
)
def test_a_run_that_is_done_running_or_refused_is_left_alone(client, end) -> None:
    end.data = None
    run = run_with_states(client, Running(), end)
    assert flow_runs.reschedule_failed([NAME]) == ([], [])
    assert client.read_flow_run(run.id).state.name == end.name


@fault(
    Area.UNATTENDED,
    "a flow run fails five times",
    left="not restarted, but listed by `refresh-releases`",
)
def test_a_run_that_always_crashes_is_given_up(client) -> None:
    run = run_with_states(client, *[Running(), Crashed()] * flow_runs.MAX_ATTEMPTS)
    again, given_up = flow_runs.reschedule_failed([NAME])
    assert ([], [run.id]) == (again, [one.id for one in given_up])
    assert client.read_flow_run(run.id).state.is_crashed()


def test_a_pending_run_without_a_worker_is_closed(client, monkeypatch) -> None:
    """Nothing else closes it: it has sent no heartbeat that could stop."""
    pending, running = run_with_states(client, Pending()), run_with_states(client, Running())
    assert flow_runs.close_lost(NAME) == []
    monkeypatch.setattr(flow_runs, "PENDING_PATIENCE", timedelta(0))
    assert [run.id for run in flow_runs.close_lost(NAME)] == [pending.id]
    states = [client.read_flow_run(run.id).state_type for run in (pending, running)]
    assert states == [StateType.CRASHED, StateType.RUNNING]
    assert flow_runs.close_lost(NAME) == []


def test_a_key_starts_one_run(client) -> None:
    first = flow_runs.start_once(NAME, "a key", {}, "name")
    assert flow_runs.start_once(NAME, "a key", {}, "name").id == first.id
    assert flow_runs.start_once(NAME, "another", {}, "name").id != first.id


@fault(
    Area.UNATTENDED,
    "a deployment is missing or of another version",
    told=("screenbayes deploy",),
    left="nothing started",
)
def test_a_missing_or_outdated_deployment_is_reported(client) -> None:
    with pytest.raises(flow_runs.NotDeployed, match=r"nothing-here.*screenbayes deploy"):
        flow_runs.start_once("nothing-here", "a key", {}, "name")
    deployment = client.read_deployment_by_name(f"{NAME}/{NAME}")
    schema = {"type": "object", "properties": {"old": {"type": "string"}}, "required": ["old"]}
    client.create_deployment(
        deployment.flow_id, NAME, parameter_openapi_schema=schema, enforce_parameter_schema=True
    )
    with pytest.raises(flow_runs.NotDeployed, match=r"of this version.*screenbayes deploy"):
        flow_runs.start_once(NAME, "a key of another version", {"new": 1}, "name")


@pytest.mark.parametrize(
    ("states", "status", "why"),
    [
        ([Running()], "under way", "Running"),
        ([Completed()], "fitted", ""),
        ([flow_runs.refused_state(UserError("correct the table"))], "refused", "correct the table"),
        ([Failed(message="MLflow is away")], "failed", "MLflow is away"),
        ([Cancelled()], "failed", "cancelled; `Retry`"),
        ([Running(), Crashed(message="gone")] * 5, "failed", "gone; given up after 5"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_state_of_a_flow_run_becomes_the_status_of_a_release(client, states, status, why):
    for state in states:
        state.data = None
    found = flow_runs.run_status(run_with_states(client, *states))
    assert found[0] == status and found[1].startswith(why)


def test_a_run_that_waits_for_its_turn_says_so(client, monkeypatch) -> None:
    monkeypatch.setattr(flow_runs, "this_flow_run", lambda: "the id of a run")
    dataset = Dataset(name="turns", release="1", library="Avana", logfc="a.csv")
    said: list[str] = []

    listener: Any = SimpleNamespace(log_info=said.append, progress=lambda *_: None)

    def second() -> None:
        with flow_runs.one_fit_at_a_time(dataset):
            said.append("my turn")

    with listen(listener):
        with flow_runs.one_fit_at_a_time(dataset):
            assert said == []
            waiting = Thread(target=copy_context().run, args=[second])
            waiting.start()
            wait_until(lambda: said, 60, "the second run has come")
        waiting.join(120)
    assert said == ["Another run is working on turns; waiting for it to end", "my turn"]


def test_a_look_reports_what_it_started_itself() -> None:
    def of(status: ReleaseStatus, run: str, detail: str = "") -> SeenRelease:
        return SeenRelease(dataset_file="d", name="a", status=status, flow_run=run, detail=detail)

    seen = (of("under way", "1", "running"), of("under way", "2", "running"), of("fitted", "1"))
    assert mark_started(seen, {"1"}) == (of("started", "1"), *seen[1:])

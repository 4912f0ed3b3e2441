"""What our flows ask of Prefect about flow runs: names, turns, starts, and second attempts.

Each function is one question or one order; in which order they are called is `flows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterIdempotencyKey,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed, Failed, Scheduled

from schemas.dataset import Dataset
from schemas.errors import EnvironmentTrouble, UserError
from tasks.progress import complain, tell

REFUSED = "Refused"
"""Name of the state of a run that failed by what it was given: the same again would fail again."""
MOST_ATTEMPTS = 5
"""A run that crashed or failed so often needs a person."""
FIRST_DELAY = timedelta(minutes=1)
"""Before what failed is begun again for the first time; doubled each time."""
PENDING_PATIENCE = timedelta(minutes=5)
"""A run that a worker took and did not begin for so long has lost its worker."""
LEASE_SECONDS = 60
"""A process that dies keeps its turn for so long."""


class NotDeployed(EnvironmentTrouble):
    """A deployment that is asked for and is not there, or is that of another version."""


def refused(error: UserError) -> State[Any]:
    """Return the state of a run that was given something it cannot use, and log why."""
    complain(f"{REFUSED}: {error}")
    return Failed(name=REFUSED, message=str(error), data=error)


def this_flow_run() -> str:
    """Return the id of the flow run this is, where it is one of a deployment; else nothing."""
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    return str(run.id) if run is not None and run.deployment_id is not None else ""


def describe_run(name: str, tags: Iterable[str]) -> None:
    """Give the present flow run a name and further tags, once it is known what it is about."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, name=name, tags=sorted({*run.tags, *tags}))


def publish(markdown: str, key: str) -> None:
    """Show a page with the run; a server that is gone must not cost the work."""
    try:
        # In lists of pages the heading stands for the page.
        create_markdown_artifact(
            markdown, key=key, description=markdown.split("\n", 1)[0].lstrip("# ")
        )
    except httpx.HTTPError as error:
        tell(f"Prefect could not take the page `{key}` ({type(error).__name__}); going on")


@contextmanager
def one_at_a_time(dataset: Dataset) -> Iterator[None]:
    """Wait until no other deployed run is at work on the dataset, and keep others waiting."""
    if not this_flow_run():
        yield
        return
    with turn(dataset.name):
        yield


@contextmanager
def turn(of: str) -> Iterator[None]:
    """Wait until no other run at the Prefect server is at work on this, and keep others waiting."""
    name = f"screenbayes {of}"
    with get_client(sync_client=True) as client:
        try:
            taken = client.read_global_concurrency_limit_by_name(name).active_slots
        except ObjectNotFound:
            taken = 0
            with suppress(ObjectAlreadyExists):  # another run was faster
                client.upsert_global_concurrency_limit_by_name(name, 1)
    if taken:
        tell(f"Another run is at work on {of}; waiting for its turn")
    # A lease that could not be renewed in time does not stop the work: MLflow's run is the fence.
    with concurrency(
        name, strict=True, lease_duration=LEASE_SECONDS, raise_on_lease_renewal_failure=False
    ):
        yield


def server_is_shared() -> bool:
    """Whether flows run at a server that others may use too, and not one within this process."""
    return PREFECT_API_URL.value() is not None


def is_over(flow_run: str) -> bool:
    """Whether nobody works at a flow run any more: it has ended, is unknown, or is this one.

    This one has only begun: what an earlier attempt of it left is nobody's.
    """
    if flow_run == this_flow_run():
        return True
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(flow_run)).state
        except ObjectNotFound:
            return True
    return state is not None and state.is_final()


def runs_by_key(keys: Iterable[str]) -> dict[str, FlowRun]:
    """Return the flow runs that were started under these keys."""
    wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=list(keys)))
    with get_client(sync_client=True) as client:
        return {str(run.idempotency_key): run for run in _all(client, wanted)}


def start_once(
    deployment: str, key: str, parameters: dict[str, Any], name: str, tags: Iterable[str] = ()
) -> FlowRun:
    """Start a run of a deployment, unless one was started under this key; return it either way.

    `deployment` names flow and deployment alike. Prefect's database sees to it that there is one,
    whoever asks at the same time. Raises NotDeployed.
    """
    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(f"{deployment}/{deployment}")
        except ObjectNotFound:
            raise NotDeployed(
                f"expected the deployment {deployment}, the Prefect server has none; "
                "run `screenbayes deploy`"
            ) from None
        try:
            return client.create_flow_run_from_deployment(
                found.id, parameters=parameters, name=name, tags=tags, idempotency_key=key
            )
        except PrefectHTTPStatusError as error:
            if error.response.status_code not in (409, 422):
                raise
            # We made them from settings that are sound: the form of the deployment is another.
            raise NotDeployed(
                f"the deployment {deployment} does not take the parameters of this version: "
                f"{error.response.text}; run `screenbayes deploy`"
            ) from None


def how_far(run: FlowRun) -> tuple[str, str]:
    """Return what became of a fit, `schemas.refresh.ReleaseStatus`, and why or what to do."""
    state, retry = run.state, "`Retry` on the page of the flow run begins it again"
    if state is None or not state.is_final():
        return "under way", "" if state is None else str(state.name)
    if state.is_completed():
        return "fitted", ""
    if state.name == REFUSED:
        return "refused", str(state.message)
    if state.is_cancelled():
        return "failed", f"cancelled; {retry}"
    if run.run_count >= MOST_ATTEMPTS:
        return "failed", f"{state.message}; given up after {run.run_count} attempts; {retry}"
    return "failed", str(state.message)


def take_up(deployments: Iterable[str]) -> tuple[list[FlowRun], list[FlowRun]]:
    """Begin again what crashed, failed by its surroundings, or lost its worker before it began.

    Returns the runs begun again, and those given up after MOST_ATTEMPTS: they need a person.
    Runs that were refused are left alone: the same input would be refused again.
    """
    of_ours = DeploymentFilter(name=DeploymentFilterName(any_=list(deployments)))
    ended_badly = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(
                any_=[StateType.CRASHED, StateType.FAILED, StateType.PENDING]
            )
        )
    )
    again, given_up = [], []
    with get_client(sync_client=True) as client:
        for run in _all(client, ended_badly, of_ours):
            if run.state is None or run.state.name == REFUSED or _still_begins(run):
                continue
            if run.run_count >= MOST_ATTEMPTS:
                given_up.append(run)
                continue
            state: State[Any] = Scheduled(
                scheduled_time=_when(run), message=f"Taken up again after {run.state.name}"
            )
            client.set_flow_run_state(run.id, state, force=True)
            again.append(run)
    return again, given_up


def close_lost(deployment: str) -> list[FlowRun]:
    """Set Crashed the runs of a deployment that lost their worker before they began; return them.

    For those that need not be begun again, as whoever asks does what they were to do.
    """
    of_it = DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
    pending = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING]))
    )
    with get_client(sync_client=True) as client:
        lost = [run for run in _all(client, pending, of_it) if not _still_begins(run)]
        for run in lost:
            state: State[Any] = Crashed(message="Its worker was gone before it began.")
            client.set_flow_run_state(run.id, state, force=True)
    return lost


def _when(run: FlowRun) -> datetime:
    """Return when to begin again: what failed by its surroundings gives them ever more time."""
    assert run.state is not None
    if not run.state.is_failed():
        return datetime.now(UTC)
    return run.state.timestamp + FIRST_DELAY * 2 ** max(run.run_count - 1, 0)


def _still_begins(run: FlowRun) -> bool:
    assert run.state is not None
    if not run.state.is_pending():
        return False
    return datetime.now(UTC) - run.state.timestamp < PENDING_PATIENCE


def _all(
    client: SyncPrefectClient, wanted: FlowRunFilter, deployments: DeploymentFilter | None = None
) -> Iterator[FlowRun]:
    """Yield all flow runs of a search, which answers in pages of 200."""
    page = 200
    for offset in range(0, 10**9, page):
        runs = client.read_flow_runs(
            flow_run_filter=wanted, deployment_filter=deployments, limit=page, offset=offset
        )
        yield from runs
        if len(runs) < page:
            return

"""Flow runs in Prefect: names, concurrency slots, starts and retries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactUpdate
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
from schemas.errors import ExternalServiceError, UserError
from tasks.runtime.progress import in_flow_run, log_error, log_info

REFUSED = "Refused"
"""State name of a run with unusable input: a retry would fail again."""
MAX_ATTEMPTS = 5
"""A run that crashed or failed so often needs manual intervention."""
FIRST_DELAY = timedelta(minutes=1)
"""Delay of the first retry of a failed run; doubles with each attempt."""
PENDING_PATIENCE = timedelta(minutes=5)
"""A run that stays Pending for longer has lost its worker."""
LEASE_SECONDS = 60
"""How long a dead process keeps its concurrency slot."""


class NotDeployed(ExternalServiceError):
    """The deployment does not exist, or comes from another version."""


def refused_state(error: UserError) -> State[Any]:
    """Log the error and return the state `Refused` for a run with unusable input."""
    log_error(f"{REFUSED}: {error}")
    return Failed(name=REFUSED, message=str(error), data=error)


def this_flow_run() -> str:
    """Return the id of the current flow run if a deployment started it; else ""."""
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    return str(run.id) if run is not None and run.deployment_id is not None else ""


def describe_run(name: str, tags: Iterable[str]) -> None:
    """Set the name of the current flow run and add tags to it."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, name=name, tags=sorted({*run.tags, *tags}))


def publish(markdown: str, key: str) -> UUID | None:
    """Attach a Markdown page to the flow run, if any, and return its id.

    An unreachable server does not end the run.
    """
    page: UUID | None = None
    if not in_flow_run():
        return page
    with _continuing(key):
        # Lists of artifacts show the heading.
        created = create_markdown_artifact(
            markdown, key=key, description=markdown.split("\n", 1)[0].lstrip("# ")
        )
        assert isinstance(created, UUID)  # a coroutine in asynchronous code only
        page = created
    return page


def publish_anew(page: UUID | None, markdown: str, key: str) -> None:
    """Replace the text of a page, or publish it where it could not be stored before."""
    if page is None:
        publish(markdown, key)
        return
    with _continuing(key), get_client(sync_client=True) as client:
        client.update_artifact(page, ArtifactUpdate(data=markdown))


@contextmanager
def _continuing(key: str) -> Iterator[None]:
    """Log that a page could not be stored, and continue."""
    try:
        yield
    except httpx.HTTPError as error:
        log_info(f"Prefect could not store the page `{key}` ({type(error).__name__}); continuing")


@contextmanager
def one_fit_at_a_time(dataset: Dataset) -> Iterator[None]:
    """Hold the concurrency slot of a dataset during the block, in a deployed run."""
    if not this_flow_run():
        yield
        return
    with concurrency_slot(dataset.name):
        yield


@contextmanager
def concurrency_slot(subject: str) -> Iterator[None]:
    """Hold the concurrency slot of `subject` at the Prefect server during the block."""
    name = f"screenbayes {subject}"
    with get_client(sync_client=True) as client:
        try:
            taken = client.read_global_concurrency_limit_by_name(name).active_slots
        except ObjectNotFound:
            taken = 0
            with suppress(ObjectAlreadyExists):  # another run was faster
                client.upsert_global_concurrency_limit_by_name(name, 1)
    if taken:
        log_info(f"Another run is working on {subject}; waiting for it to end")
    # A lease that expires does not stop the run: FitRun.require_open detects a second one.
    with concurrency(
        name, strict=True, lease_duration=LEASE_SECONDS, raise_on_lease_renewal_failure=False
    ):
        yield


def server_is_shared() -> bool:
    """Return whether flows run at a server that other processes can use."""
    return PREFECT_API_URL.value() is not None


def is_terminal(flow_run: str) -> bool:
    """Return whether no process works on a flow run: it has ended, is unknown, or is this one.

    This one has just started, so whatever it left comes from an earlier attempt.
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
    """Return the flow runs with these idempotency keys, by key."""
    wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=list(keys)))
    with get_client(sync_client=True) as client:
        return {str(run.idempotency_key): run for run in _find_runs(client, wanted)}


def start_once(
    deployment: str, key: str, parameters: dict[str, Any], name: str, tags: Iterable[str] = ()
) -> FlowRun:
    """Return the run of a deployment with this idempotency key; start it if there is none.

    `deployment` is the name of both flow and deployment. Concurrent calls start one run. Raises
    NotDeployed.
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
            # Our parameters are valid: the deployment expects those of another version.
            raise NotDeployed(
                f"the deployment {deployment} does not take the parameters of this version: "
                f"{error.response.text}; run `screenbayes deploy`"
            ) from None


def run_status(run: FlowRun) -> tuple[str, str]:
    """Return the `ReleaseStatus` of a fit, and the reason or remedy."""
    state, retry = run.state, "`Retry` on the page of the flow run starts it again"
    if state is None or not state.is_final():
        return "under way", "" if state is None else str(state.name)
    if state.is_completed():
        return "fitted", ""
    if state.name == REFUSED:
        return "refused", str(state.message)
    if state.is_cancelled():
        return "failed", f"cancelled; {retry}"
    if run.run_count >= MAX_ATTEMPTS:
        return "failed", f"{state.message}; given up after {run.run_count} attempts; {retry}"
    return "failed", str(state.message)


def reschedule_failed(deployments: Iterable[str]) -> tuple[list[FlowRun], list[FlowRun]]:
    """Reschedule runs that crashed, failed, or lost their worker before they started.

    Returns the rescheduled runs, and those given up after MAX_ATTEMPTS. Refused runs are not
    rescheduled: the same input would be refused again.
    """
    deployed = DeploymentFilter(name=DeploymentFilterName(any_=list(deployments)))
    ended_badly = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(
                any_=[StateType.CRASHED, StateType.FAILED, StateType.PENDING]
            )
        )
    )
    again, given_up = [], []
    with get_client(sync_client=True) as client:
        for run in _find_runs(client, ended_badly, deployed):
            if run.state is None or run.state.name == REFUSED or _may_still_start(run):
                continue
            if run.run_count >= MAX_ATTEMPTS:
                given_up.append(run)
                continue
            state: State[Any] = Scheduled(
                scheduled_time=_retry_time(run), message=f"Rescheduled after {run.state.name}"
            )
            client.set_flow_run_state(run.id, state, force=True)
            again.append(run)
    return again, given_up


def close_lost(deployment: str) -> list[FlowRun]:
    """Set Crashed the runs of a deployment that lost their worker before they started; return them.

    For runs that need no retry because the caller does their work.
    """
    deployed = DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
    pending = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING]))
    )
    with get_client(sync_client=True) as client:
        lost = [run for run in _find_runs(client, pending, deployed) if not _may_still_start(run)]
        for run in lost:
            state: State[Any] = Crashed(message="Its worker died before it started.")
            client.set_flow_run_state(run.id, state, force=True)
    return lost


def _retry_time(run: FlowRun) -> datetime:
    """Return the time of the next attempt: the delay of failed runs doubles each time."""
    assert run.state is not None
    if not run.state.is_failed():
        return datetime.now(UTC)
    return run.state.timestamp + FIRST_DELAY * 2 ** max(run.run_count - 1, 0)


def _may_still_start(run: FlowRun) -> bool:
    assert run.state is not None
    if not run.state.is_pending():
        return False
    return datetime.now(UTC) - run.state.timestamp < PENDING_PATIENCE


def _find_runs(
    client: SyncPrefectClient, wanted: FlowRunFilter, deployments: DeploymentFilter | None = None
) -> Iterator[FlowRun]:
    """Yield all flow runs of a search, in pages of 200."""
    page = 200
    for offset in range(0, 10**9, page):
        runs = client.read_flow_runs(
            flow_run_filter=wanted, deployment_filter=deployments, limit=page, offset=offset
        )
        yield from runs
        if len(runs) < page:
            return

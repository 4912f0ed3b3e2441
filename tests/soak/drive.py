"""A soak from start to end: the schedule fires, releases land, faults are made, and all settles.

What the faults are is `tests.soak.faults`, what is asked at the end `tests.soak.checks`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule

from schemas.calibration import CalibrationSettings
from tests.integration.processes import PATIENCE
from tests.integration.stack import Stack, running_stack
from tests.soak import watch
from tests.soak.bucket import running_bucket
from tests.soak.checks import failures
from tests.soak.evidence import Evidence, collect
from tests.soak.faults import FAULTS, OF_CONTENT, OF_SERVERS, Ground
from tests.soak.releases import Prefix
from tests.soak.watch import Sample
from tests.tasks.stores import calibrated

MOST_WAITING = 4
"""Refreshes that wait for the one before: with more, the schedule is held until they are done."""
SETTLING = 1500.0
"""Seconds after the last fault in which everything has to be done: what failed five times in a row
is tried for the last time after 15 minutes."""


@dataclass(frozen=True)
class Plan:
    """How long a soak is, and how it goes."""

    refreshes: int
    """Scheduled refreshes that have to end before it settles."""
    contents: int
    """So many contents land, at most."""
    seed: int
    every: timedelta = timedelta(seconds=10)
    """The schedule."""
    kinds: tuple[str, ...] = tuple(FAULTS)
    datasets: tuple[str, ...] = ("screen-a", "screen-b", "screen-c")


@dataclass
class Made:
    """A fault that was made."""

    kind: str
    refresh: int
    outcome: str
    seconds: float


@dataclass
class Soak:
    """What a soak has seen."""

    plan: Plan
    made: list[Made] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    refreshes: list[dict[str, Any]] = field(default_factory=list)
    """Scheduled refreshes that have ended, as `watch.flow_runs` has them."""
    sizes: list[dict[str, float]] = field(default_factory=list)
    evidence: Evidence | None = None
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    settled_after: float = 0.0
    gave_up: int = 0
    """Times that the worker has ended by itself and was started again, as a machine would do it."""


def soaked(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Soak:
    """Run a soak on a stack of its own; `folder` is for its state, and is to be empty."""
    begun = time.monotonic()
    found = Soak(plan)
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    with (
        _settings(temporary),
        running_bucket(folder) as bucket,
        running_stack(folder, bucket.proxy.address) as stack,
    ):
        # Without a calibration the gate would let nobody through.
        calibrated(CalibrationSettings(model="m4", engine="exact"), Counter(exact=60))
        prefix = Prefix(partial(bucket.put, stack.bucket))
        ground = Ground(stack, bucket, prefix, plan.datasets, Random(plan.seed), {})
        for dataset in plan.datasets:
            prefix.land(prefix.next_place(dataset), prefix.next_content(dataset))
        schedule = Schedule(stack, plan.every)
        _go(found, ground, schedule, tell)
        found.failures += _settle(found, ground, schedule, tell)
        stack.worker.stop()  # what it leaves behind, it leaves for good
        found.evidence = collect(stack, temporary, prefix.expected(), prefix.ever)
        found.evidence.kills = ground.kills
    found.failures += failures(found.evidence)
    found.seconds = time.monotonic() - begun
    return found


@contextmanager
def _settings(temporary: Path) -> Iterator[None]:
    """What all processes of a soak are started with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        # One that finds another at work asks again soon: the refreshes follow on one another.
        patch.setenv("PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS", "3")
        # A refresh that lost its worker before it began keeps the others waiting for so long; one
        # that takes longer to begin loses its turn.
        patch.setenv("PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION", "45")
        patch.setenv("SCREENBAYES_FITS_AT_ONCE", "1")  # two cores
        yield


class Schedule:
    """The schedule of the refreshes; it fires by itself, and is held while too many wait."""

    def __init__(self, stack: Stack, every: timedelta) -> None:
        self._client = stack.client
        self._deployment = stack.client.read_deployment_by_name(
            "refresh-releases/refresh-releases"
        ).id
        for old in stack.client.read_deployment_schedules(self._deployment):
            stack.client.delete_deployment_schedule(self._deployment, old.id)
        interval = IntervalSchedule(interval=every, anchor_date=datetime.now(UTC))
        wanted = [DeploymentScheduleCreate(schedule=interval, active=True)]
        made = stack.client.create_deployment_schedules(self._deployment, wanted)
        self._schedule = made[0].id
        self.active = True

    def set(self, active: bool) -> None:
        if active != self.active:
            self._client.update_deployment_schedule(self._deployment, self._schedule, active=active)
            self.active = active

    def keep_pace(self, waiting: int) -> None:
        if waiting > MOST_WAITING:
            self.set(False)
        elif waiting == 0:
            self.set(True)


def _go(found: Soak, ground: Ground, schedule: Schedule, tell: Callable[[str], None]) -> None:
    """Let the refreshes come, look at each, and make faults between and in them."""
    plan, stack = found.plan, ground.stack
    bag: list[str] = []
    seen: set[str] = set()
    next_fault = 1.0
    with ThreadPoolExecutor(max_workers=1) as hand:
        at_work: Future[None] | None = None
        while len(seen) < plan.refreshes or at_work is not None:
            time.sleep(1)
            if at_work is not None and at_work.done():
                at_work.result()
                at_work = None
                next_fault = len(seen) + ground.random.choice((0, 1, 1, 2))
            _keep_worker(found, stack)
            try:
                for run in watch.ended_refreshes(stack):
                    if run["id"] not in seen:
                        seen.add(run["id"])
                        _look(found, stack, run, len(seen))
                schedule.keep_pace(watch.waiting_refreshes(stack))
            except Exception as error:  # the server asked is the one that is killed
                tell(f"  (not answered: {type(error).__name__})")
                continue
            if at_work is None and next_fault <= len(seen) < plan.refreshes:
                kind = _next(bag, found, ground, len(seen))
                if kind:
                    at_work = hand.submit(_make, kind, found, ground, len(seen), tell)


def _keep_worker(found: Soak, stack: Stack) -> None:
    if stack.worker.gave_up:  # its server has answered with an error
        found.gave_up += 1
        stack.worker.start_again()


def _look(found: Soak, stack: Stack, run: dict[str, Any], number: int) -> None:
    found.refreshes.append(run)
    seconds = float("nan")
    if run["state_type"] == "COMPLETED":
        seconds = (run["end_time"] - run["start_time"]).total_seconds()
    found.samples += watch.sampled(stack, number, seconds)
    found.sizes.append({"refresh": number, **watch.database_sizes(stack)})


def _next(bag: list[str], found: Soak, ground: Ground, refresh: int) -> str | None:
    """The next kind of fault: all of them come, in random order, before one comes again."""
    plan = found.plan
    share = min(1.0, 1.5 * (refresh + 1) / plan.refreshes)
    ground.growing = refresh < plan.refreshes / 2
    full = len(ground.prefix.ever) >= plan.contents * share
    for _ in range(2):
        for kind in list(bag):
            if (kind in OF_SERVERS and not ground.growing) or (kind in OF_CONTENT and full):
                continue
            bag.remove(kind)
            return kind
        more = list(plan.kinds)
        ground.random.shuffle(more)
        bag += [kind for kind in more if kind not in bag]
    return None


def _make(
    kind: str, found: Soak, ground: Ground, refresh: int, tell: Callable[[str], None]
) -> None:
    begun = time.monotonic()
    outcome = FAULTS[kind](ground)
    seconds = time.monotonic() - begun
    found.made.append(Made(kind, refresh, outcome or "found nothing to do it to", seconds))
    came = found.made[-1].outcome
    tell(f"{datetime.now(UTC):%H:%M:%S} {refresh:3} {kind}: {came} ({seconds:.0f} s)")


def _settle(
    found: Soak, ground: Ground, schedule: Schedule, tell: Callable[[str], None]
) -> Iterator[str]:
    """Let what is under way and what is due come to its end; yield what does not."""
    begun = time.monotonic()
    stack = ground.stack
    tell(f"{datetime.now(UTC):%H:%M:%S} no more faults")

    def done() -> bool:
        _keep_worker(found, stack)
        schedule.keep_pace(watch.waiting_refreshes(stack))
        return _all_done(ground)

    if not ground.wait_for(done, SETTLING, 2):
        yield f"what is due is not done within {SETTLING:.0f} s"
    schedule.set(False)
    if not ground.wait_for(lambda: watch.quiet(stack), PATIENCE, 2):
        yield f"flow runs are under way {PATIENCE:.0f} s after all was done"
    found.settled_after = time.monotonic() - begun
    # The turns of who died are free again after their leases, at the latest.
    free = "SELECT 1 FROM concurrency_limit_v2 WHERE active_slots > 0"
    ground.wait_for(lambda: not watch.asked(stack, "prefect", free), PATIENCE, 2)


def _all_done(ground: Ground) -> bool:
    """Whether every release is fitted, and a refresh has found nothing more to do since."""
    try:
        question = (
            "SELECT tags.value AS key, runs.end_time FROM runs JOIN tags USING (run_uuid) "
            "WHERE tags.key = 'fit_key' AND runs.status = 'FINISHED'"
        )
        fitted = {
            row["key"]: row["end_time"] for row in watch.asked(ground.stack, "mlflow", question)
        }
        if not ground.prefix.expected().keys() <= fitted.keys():
            return False
        runs = watch.flow_runs(ground.stack)
    except psycopg.Error:
        return False
    of_work = [run for run in runs if run["flow"] != "refresh-releases"]
    if any(
        run["state_type"] not in ("COMPLETED", "CANCELLED") and run["state_name"] != "Refused"
        for run in of_work
    ):
        return False
    last = max(run["end_time"] for run in of_work)
    looks = [run for run in runs if run["flow"] == "refresh-releases" and run["start_time"]]
    return any(run["start_time"] > last and run["state_type"] == "COMPLETED" for run in looks)


def plan_of_environment() -> Plan:
    """SOAK_REFRESHES, SOAK_CONTENTS, SOAK_SEED, SOAK_EVERY (seconds)."""

    def number(name: str, default: int) -> int:
        return int(os.environ.get(name) or default)

    refreshes = number("SOAK_REFRESHES", 200)
    return Plan(
        refreshes,
        number("SOAK_CONTENTS", max(8, refreshes // 8)),
        number("SOAK_SEED", 103),
        timedelta(seconds=number("SOAK_EVERY", 10)),
    )

"""Scheduled refreshes of releases among random faults, and the checks once all is done."""

import os
import sys
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random

import psycopg
import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule

from schemas.calibration import CalibrationSettings
from tests.faults.proxy import Proxy
from tests.integration.processes import PATIENCE
from tests.integration.stack import running_stack
from tests.soak import faults, watch
from tests.soak.checks import broken, slowing
from tests.soak.faults import FAULTS, Ground, wait_for
from tests.soak.releases import Releases
from tests.tasks.stores import calibrated

REFRESHES = int(os.environ.get("SOAK_REFRESHES") or 200)
SEED = int(os.environ.get("SOAK_SEED") or 103)
EVERY = timedelta(seconds=10)
MOST_WAITING = 4
"""Refreshes that wait for the one before; with more, the schedule is paused until they are done."""
SETTLING = 1500.0
"""Seconds for all to be done after the last fault: a fifth attempt begins after 15 minutes."""
SETTINGS = {
    # A refresh that finds another at work asks again soon.
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    # A refresh that lost its worker before it began holds its turn for so long; one that takes
    # longer to begin loses it.
    "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "45",
}


@pytest.mark.integration
@pytest.mark.soak
def test_refreshes_survive_random_faults(tmp_path, s3_endpoint, monkeypatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    for name, value in {**SETTINGS, "TMPDIR": str(temporary)}.items():
        monkeypatch.setenv(name, value)
    with Proxy(s3_endpoint).listening() as proxy, running_stack(tmp_path, proxy.address) as stack:
        releases = Releases(proxy, s3_endpoint, stack.bucket)
        # Without a calibration the gate would refuse every fit.
        calibrated(CalibrationSettings(model="m4", engine="exact"), Counter(exact=1000))
        for dataset in faults.DATASETS:
            releases.upload(releases.new_place(dataset), releases.new_content(dataset))
        soak = Soak(Ground(stack, releases, Random(SEED)))
        soak.run()
        soak.settle()
        stack.worker.stop()  # what it leaves behind now is left for good
        failures = list(broken(stack, releases, soak.ground.killed.total(), temporary))
        ends = Counter(f"{run['flow']} {run['state_name']}" for run in watch.flow_runs(stack))
    say(f"seed {SEED}: {soak.made} faults; {dict(ends)}")
    assert failures == []
    assert soak.made > 0
    assert slowing(soak.seconds) == ""


def say(text: str) -> None:
    """Print at once: pytest would print it at the end, and only if the test fails."""
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")


class Soak:
    def __init__(self, ground: Ground) -> None:
        self.ground, self.stack = ground, ground.stack
        self.seconds: list[float] = []
        """Of each refresh that was completed."""
        self.made = 0
        self._next: list[str] = []
        client = self.stack.client
        self._refreshes = client.read_deployment_by_name("refresh-releases/refresh-releases").id
        for old in client.read_deployment_schedules(self._refreshes):
            client.delete_deployment_schedule(self._refreshes, old.id)
        interval = IntervalSchedule(interval=EVERY, anchor_date=datetime.now(UTC))
        wanted = [DeploymentScheduleCreate(schedule=interval, active=True)]
        self._schedule = client.create_deployment_schedules(self._refreshes, wanted)[0].id
        self._active = True

    def run(self) -> None:
        """Let the refreshes come, and make one fault at a time."""
        ended: set[str] = set()
        next_fault = 1
        fault: Future[None] | None = None
        with ThreadPoolExecutor(max_workers=1) as hand:
            while len(ended) < REFRESHES or fault is not None:
                time.sleep(1)
                if fault is not None and fault.done():
                    fault.result()
                    fault = None
                    next_fault = len(ended) + self.ground.random.choice((0, 1, 1, 2))
                try:
                    self._keep_going()
                    for run in watch.flow_runs(self.stack, "refresh-releases"):
                        over = run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")
                        if run["auto_scheduled"] and over and run["id"] not in ended:
                            ended.add(run["id"])
                            if run["state_type"] == "COMPLETED":
                                took = run["end_time"] - run["start_time"]
                                self.seconds.append(took.total_seconds())
                except Exception as error:  # the server that is asked may be the one that is killed
                    say(f"({type(error).__name__})")
                    continue
                if fault is None and next_fault <= len(ended) < REFRESHES:
                    fault = hand.submit(self._make, self._kind(len(ended)), len(ended))

    def settle(self) -> None:
        say("no more faults")
        assert wait_for(self._all_done, SETTLING), "not all is done"
        self._activate(False)
        assert wait_for(self._quiet, PATIENCE), "flow runs are under way after all was done"
        # The turns of killed processes are free again once their leases have run out.
        wait_for(lambda: not watch.query(self.stack, "prefect", watch.TAKEN_TURNS), PATIENCE)

    def _keep_going(self) -> None:
        """Start the worker if it has ended by itself; pause the schedule if too much waits."""
        if self.stack.worker.gave_up:  # it ends if Prefect answers with an error
            self.stack.worker.start_again()
        refreshes = watch.flow_runs(self.stack, "refresh-releases")
        waiting = sum(run["state_type"] == "SCHEDULED" for run in refreshes)
        if waiting > MOST_WAITING or waiting == 0:
            self._activate(waiting == 0)

    def _activate(self, active: bool) -> None:
        if active != self._active:
            client = self.stack.client
            client.update_deployment_schedule(self._refreshes, self._schedule, active=active)
            self._active = active

    def _kind(self, refresh: int) -> str:
        """The next fault: in each round all are made that may be, in random order."""
        self.ground.growing = refresh < REFRESHES / 2
        full = len(self.ground.releases.ever) > 8 + refresh / 8
        excluded = faults.WITH_CONTENT if full else ()
        while True:
            self._next = self._next or self.ground.random.sample(sorted(FAULTS), len(FAULTS))
            if (kind := self._next.pop()) not in excluded:
                return kind

    def _make(self, kind: str, refresh: int) -> None:
        if kind in faults.AFTER_UPLOAD:
            self.ground.releases.upload(*self.ground.new_content())
        say(f"{refresh:3} {kind}: {FAULTS[kind](self.ground) or 'found nothing to do it to'}")
        self.made += 1

    def _quiet(self) -> bool:
        return not any(run["state_type"] in watch.GOING for run in watch.flow_runs(self.stack))

    def _all_done(self) -> bool:
        """Whether every release is fitted, and a later refresh found nothing more to do."""
        try:
            self._keep_going()
            fitted = {row["key"] for row in watch.query(self.stack, "mlflow", watch.FITTED)}
            runs = watch.flow_runs(self.stack)
        except psycopg.Error:
            return False
        refreshes = [run for run in runs if run["flow"] == "refresh-releases"]
        work = [run for run in runs if run["flow"] != "refresh-releases"]
        ended = all(
            run["state_type"] in ("COMPLETED", "CANCELLED") or run["state_name"] == "Refused"
            for run in work
        )
        if not ended or not self.ground.releases.expected().keys() <= fitted:
            return False
        last = max(run["end_time"] for run in work)
        ends = (run for run in refreshes if run["state_type"] == "COMPLETED")
        return any(run["start_time"] > last for run in ends)

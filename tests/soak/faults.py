"""The faults of a soak, each really made: what is killed, cut off, spoiled, or fired too often.

A fault is a function of the soak; it returns what it did, or nothing where there was nothing to
do it to. When which is made is `tests.soak.drive`, what it must not lead to `tests.soak.checks`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from uuid import uuid4

import psutil

from tests.faults.proxy import Harm
from tests.integration.processes import Server
from tests.integration.stack import Stack
from tests.soak import watch
from tests.soak.bucket import Bucket
from tests.soak.releases import TABLE, Place, Prefix

FLOWS = ("fit-screen", "refresh-releases", "compare-runs", "promote-fit")
MOST_KILLS = 2
"""So often one run of a flow is killed: after five bad ends it is left to a person."""
ASLEEP = 125.0
"""Seconds a process is stopped for: without a heartbeat for 90 s it is taken for dead."""


@dataclass
class Ground:
    """What faults are made to."""

    stack: Stack
    bucket: Bucket
    prefix: Prefix
    datasets: tuple[str, ...]
    random: Random
    killed: dict[str, int]
    """Kills by flow run."""
    growing: bool = True
    """Whether new content comes to new places, or to those there are."""

    @property
    def kills(self) -> int:
        return sum(self.killed.values())

    def struck(self, run_id: str) -> None:
        self.killed[run_id] = self.killed.get(run_id, 0) + 1

    def new_content(self) -> tuple[Place, bytes]:
        """A content that was nowhere before, and where to put it."""
        dataset = self.random.choice(self.datasets)
        return self.place_in(dataset), self.prefix.next_content(dataset)

    def place_in(self, dataset: str) -> Place:
        """A new place, or an old one for another content."""
        there = [place for place in self.prefix.places if place.dataset == dataset]
        return self.prefix.next_place(dataset) if self.growing else self.random.choice(there)

    def any_place(self) -> Place | None:
        places = sorted(self.prefix.there, key=lambda place: place.folder)
        return self.random.choice(places) if places else None

    def wait_for(self, what: Callable[[], object], seconds: float, step: float = 0.5) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if what():
                return True
            time.sleep(step)
        return False


Fault = Callable[[Ground], str | None]
FAULTS: dict[str, Fault] = {}
OF_SERVERS: set[str] = set()
"""Faults after which a server is another process: not made where its memory is followed."""
OF_CONTENT: set[str] = set()
"""Faults that bring a content that has to be fitted."""


def fault(kind: str, *, server: bool = False, content: bool = False) -> Callable[[Fault], Fault]:
    def register(made: Fault) -> Fault:
        FAULTS[kind] = made
        if server:
            OF_SERVERS.add(kind)
        if content:
            OF_CONTENT.add(kind)
        return made

    return register


# ------------------------------------------------------------------------------------ processes


def _kill_one(ground: Ground, flow: str) -> str | None:
    for run_id, process in watch.processes_of(flow, ground.stack):
        if ground.killed.get(run_id, 0) >= MOST_KILLS:
            continue
        age = time.time() - process.create_time()
        with suppress(psutil.NoSuchProcess):
            process.kill()
            ground.struck(run_id)
            return f"killed {age:.0f} s after its start"
    return None


def _anywhere(ground: Ground, longest: float) -> None:
    """Wait for a moment anywhere in what is at work, or in the next refresh."""
    at_work = [flow for flow in FLOWS if any(watch.processes_of(flow, ground.stack))]
    flow = ground.random.choice(at_work) if at_work else "refresh-releases"
    _somewhere_in(ground, flow, longest)


def _somewhere_in(ground: Ground, flow: str, longest: float) -> None:
    """Wait for a run of the flow, and then for a moment anywhere in it."""
    ground.wait_for(lambda: any(watch.processes_of(flow, ground.stack)), 150)
    time.sleep(ground.random.uniform(0, longest))


@fault("a fit killed", content=True)
def kill_fit(ground: Ground) -> str | None:
    ground.prefix.land(*ground.new_content())
    _somewhere_in(ground, "fit-screen", 25)
    return _kill_one(ground, "fit-screen")


@fault("a fit killed between registering and finishing", content=True)
def kill_fit_at_its_end(ground: Ground) -> str | None:
    ground.prefix.land(*ground.new_content())
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        for run_id in watch.about_to_finish(ground.stack):
            for fit, process in watch.processes_of("fit-screen", ground.stack):
                if fit == run_id:
                    process.kill()
                    ground.struck(run_id)
                    left = watch.about_to_finish(ground.stack)
                    return "killed in time" if run_id in left else "killed, but it had finished"
        time.sleep(0.02)
    return None


@fault("a refresh killed")
def kill_refresh(ground: Ground) -> str | None:
    _somewhere_in(ground, "refresh-releases", 10)
    return _kill_one(ground, "refresh-releases")


@fault("a comparison or a promotion killed", content=True)
def kill_what_follows(ground: Ground) -> str | None:
    ground.prefix.land(*ground.new_content())
    flows = ("compare-runs", "promote-fit")
    ground.wait_for(lambda: any(any(watch.processes_of(flow, ground.stack)) for flow in flows), 150)
    time.sleep(ground.random.uniform(0, 8))
    for flow in ground.random.sample(flows, 2):
        if done := _kill_one(ground, flow):
            return f"{flow} {done}"
    return None


@fault("a fit asleep for two minutes", content=True)
def fit_asleep(ground: Ground) -> str | None:
    """As on a machine that was suspended: to the process, the clock jumps."""
    ground.prefix.land(*ground.new_content())
    _somewhere_in(ground, "fit-screen", 12)
    for run_id, process in watch.processes_of("fit-screen", ground.stack):
        if ground.killed.get(run_id, 0) >= MOST_KILLS:
            continue
        with suppress(psutil.NoSuchProcess):
            process.suspend()
            ground.struck(run_id)
            time.sleep(ASLEEP)
            process.resume()
            return "taken for dead, and awake again"
    return None


@fault("the worker killed", server=True)
def kill_worker(ground: Ground) -> str:
    _somewhere_in(ground, "refresh-releases", 8)
    ground.stack.worker.kill(alone=True)
    time.sleep(ground.random.uniform(0, 5))
    ground.stack.worker.start_again()
    return "killed alone, another started"


@fault("the worker killed with all it runs", server=True, content=True)
def kill_machine(ground: Ground) -> str:
    ground.prefix.land(*ground.new_content())
    _somewhere_in(ground, "fit-screen", 15)
    victims = [found for flow in FLOWS for found in watch.processes_of(flow, ground.stack)]
    ground.stack.worker.kill()
    for run_id, victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        ground.struck(run_id)
    time.sleep(ground.random.uniform(0, 5))
    ground.stack.worker.start_again()
    return f"killed with {len(victims)} processes, another started"


# -------------------------------------------------------------------------------------- servers


def _kill_server(ground: Ground, server: Server) -> str:
    _anywhere(ground, 10)
    away = ground.random.uniform(1, 12)
    server.kill()
    time.sleep(away)
    server.start_again()
    return f"away for {away:.0f} s"


@fault("Prefect killed", server=True)
def kill_prefect(ground: Ground) -> str:
    return _kill_server(ground, ground.stack.prefect)


@fault("MLflow killed", server=True)
def kill_mlflow(ground: Ground) -> str:
    return _kill_server(ground, ground.stack.mlflow)


@fault("PostgreSQL killed", server=True)
def kill_postgres(ground: Ground) -> str:
    return _kill_server(ground, ground.stack.postgres)


@fault("Prefect frozen")
def freeze_prefect(ground: Ground) -> str:
    return _freeze(ground, ground.stack.prefect)


@fault("MLflow frozen")
def freeze_mlflow(ground: Ground) -> str:
    return _freeze(ground, ground.stack.mlflow)


def _freeze(ground: Ground, server: Server) -> str:
    """Stopped, it takes connections and answers none."""
    _anywhere(ground, 10)
    for_seconds = ground.random.uniform(5, 20)
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        time.sleep(for_seconds)
    finally:
        os.killpg(server.pid, signal.SIGCONT)
    return f"frozen for {for_seconds:.0f} s"


# --------------------------------------------------------------------------------------- bucket


def _bucket_in_trouble(ground: Ground, harm: Harm, longest: float) -> str:
    _anywhere(ground, 5)
    for_seconds = ground.random.uniform(longest / 2, longest)
    with ground.bucket.harmed(harm) as came:
        time.sleep(for_seconds)
    return f"for {for_seconds:.0f} s, {len(came)} requests came"


@fault("the bucket away")
def bucket_away(ground: Ground) -> str:
    return _bucket_in_trouble(ground, Harm(reset=True), 20)


@fault("the bucket silent")
def bucket_silent(ground: Ground) -> str:
    return _bucket_in_trouble(ground, Harm(silent=True), 40)


@fault("the bucket slow")
def bucket_slow(ground: Ground) -> str:
    slow = Harm(bytes_a_second=20_000, first=lambda: time.sleep(0.7))
    return _bucket_in_trouble(ground, slow, 30)


@fault("the bucket cutting connections")
def bucket_cutting(ground: Ground) -> str:
    return _bucket_in_trouble(ground, Harm(method="GET", cut_after=100), 20)


@fault("the bucket throttling (503)")
def bucket_throttling(ground: Ground) -> str:
    return _bucket_in_trouble(ground, Harm(refuse=(503, "SlowDown")), 20)


@fault("the bucket's clock ahead")
def bucket_ahead(ground: Ground) -> str:
    return _bucket_in_trouble(ground, Harm(ahead=timedelta(seconds=12)), 40)


# -------------------------------------------------------------------------------------- releases


@fault("a release half uploaded", content=True)
def half_uploaded(ground: Ground) -> str:
    """The dataset file comes before its table, and stays alone for a look or two."""
    place, content = ground.new_content()
    ground.prefix.put_description(place)
    time.sleep(ground.random.uniform(15, 30))
    ground.prefix.put_table(place, content)
    return "the table came after its description"


@fault("a table replaced while a fit reads it", content=True)
def replaced_while_read(ground: Ground) -> str:
    place, content = ground.new_content()
    after = ground.prefix.next_content(place.dataset)
    done = Event()

    def replace() -> None:
        ground.prefix.put_table(place, after)
        done.set()

    # The refresh asks for its stamp; the first to read it is the fit.
    with ground.bucket.harmed(Harm(f"{place.folder}/{TABLE}", "GET", times=1, first=replace)):
        ground.prefix.land(place, content)
        caught = done.wait(150)
    if not caught:
        replace()
    return "replaced between stamp and read" if caught else "replaced before it was read"


@fault("a release replaced by another", content=True)
def replaced(ground: Ground) -> str | None:
    place = ground.any_place()
    if place is None:
        return None
    ground.prefix.put_table(place, ground.prefix.next_content(place.dataset))
    return "new content at the old place"


@fault("a spoiled release, mended later", content=True)
def spoiled(ground: Ground) -> str:
    place, content = ground.new_content()
    cut_off = content[: len(content) - len(content.splitlines()[-1]) // 2 - 1]
    bad = ground.random.choice((cut_off, content.replace(b"geneA", b"", 1), b"<html>no</html>"))
    ground.prefix.put_spoiled(place, bad)
    ground.prefix.put_description(place)
    refused = ground.wait_for(
        lambda: any(
            run["state_name"] == "Refused"
            and place.folder in str((run["parameters"] or {}).get("dataset_file"))
            for run in watch.flow_runs(ground.stack, "fit-screen")
        ),
        150,
    )
    ground.prefix.put_table(place, content)
    return "refused, then mended" if refused else "mended before anybody looked"


@fault("a release uploaded again unchanged")
def uploaded_again(ground: Ground) -> str | None:
    place = ground.any_place()
    if place is None:
        return None
    in_parts = ground.random.random() < 0.7
    ground.prefix.land(place, ground.prefix.there[place], in_parts=in_parts)
    return "in parts: another ETag" if in_parts else "as before"


@fault("one release under two names")
def two_names(ground: Ground) -> str | None:
    place = ground.any_place()
    if place is None:
        return None
    in_parts = ground.random.random() < 0.7
    other = ground.place_in(place.dataset)
    ground.prefix.land(other, ground.prefix.there[place], in_parts=in_parts)
    return "with another ETag" if in_parts else "with the same ETag"


@fault("an event fired five times", content=True)
def many_events(ground: Ground) -> str:
    place, content = ground.new_content()
    ground.prefix.land(place, content)
    events = [
        {
            "event": "screen.release.landed",
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": f"screen.release.{place.release}"},
        }
        for _ in range(5)
    ]
    ground.stack.client.request("POST", "/events", json=events)
    return "five refreshes more"

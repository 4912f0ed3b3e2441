"""The faults of a soak: what is killed, frozen, cut off, spoiled, replaced or uploaded twice.

A fault is a function that returns what it did, or nothing if there was nothing to do it to.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random

import psutil

from tests.faults.proxy import Harm
from tests.integration.stack import Stack
from tests.soak import watch
from tests.soak.releases import Releases

FLOWS = ("fit-screen", "refresh-releases", "compare-runs", "promote-fit")
DATASETS = ("screen-a", "screen-b", "screen-c")
MOST_KILLS = 2
"""Kills of one flow run: after five bad ends a run is left for a person to start again."""
BEGINS = 150.0  # seconds to wait for a flow


@dataclass
class Ground:
    stack: Stack
    releases: Releases
    random: Random
    killed: Counter[str] = field(default_factory=Counter)
    """Kills by flow run."""
    growing: bool = True
    """Whether new content goes to new places, or to those there are."""

    def place_in(self, dataset: str) -> str:
        """A new place, or an old one that gets another content."""
        if self.growing:
            return self.releases.new_place(dataset)
        return self.random.choice(self.releases.places[dataset])

    def new_content(self) -> tuple[str, bytes]:
        dataset = self.random.choice(DATASETS)
        return self.place_in(dataset), self.releases.new_content(dataset)

    def valid_place(self) -> str:
        return self.random.choice(sorted(self.releases.sound))

    def pause(self, longest: float, shortest: float = 0.0) -> None:
        time.sleep(self.random.uniform(shortest, longest))

    def wait_within(self, longest: float, *flows: str) -> None:
        """Wait until one of these flows runs, and then until a random moment within it."""
        wait_for(lambda: watch.processes_of(self.stack, *flows), BEGINS)
        self.pause(longest)

    def victims(self, *flows: str) -> list[tuple[str, psutil.Process]]:
        """Runs of these flows, with their processes, that may be killed once more."""
        found = watch.processes_of(self.stack, *flows)
        return [(run_id, process) for run_id, process in found if self.killed[run_id] < MOST_KILLS]

    def kill(self, run_id: str, process: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        self.killed[run_id] += 1


def wait_for(what: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(1)
    return bool(found)


def kill_run(flows: tuple[str, ...], longest: float, ground: Ground) -> str | None:
    ground.wait_within(longest, *flows)
    for run_id, process in ground.victims(*flows):
        ground.kill(run_id, process)
        return "killed"
    return None


def stop_fit(ground: Ground) -> str | None:
    """As on a machine that was suspended: for the process, the clock jumps."""
    ground.wait_within(12, "fit-screen")
    for run_id, process in ground.victims("fit-screen"):
        with suppress(psutil.NoSuchProcess):
            process.suspend()
            ground.killed[run_id] += 1
            time.sleep(125)  # without a heartbeat for 90 s it is set Crashed
            process.resume()
            return "set Crashed, then resumed"
    return None


def kill_worker(alone: bool, ground: Ground) -> str:
    ground.wait_within(15, "refresh-releases" if alone else "fit-screen")
    victims = [] if alone else watch.processes_of(ground.stack, *FLOWS)
    ground.stack.worker.kill(alone=alone)
    for run_id, process in victims:
        ground.kill(run_id, process)
    ground.pause(5)
    ground.stack.worker.start_again()
    return f"killed with {len(victims)} flow runs, another started"


def kill_server(name: str, ground: Ground) -> str:
    server = getattr(ground.stack, name)
    ground.wait_within(10, *FLOWS)
    server.kill()
    ground.pause(12)
    server.start_again()
    return "killed, started again"


def freeze_server(name: str, ground: Ground) -> str:
    """Stopped, it accepts connections and answers none."""
    pid = getattr(ground.stack, name).pid
    ground.wait_within(10, *FLOWS)
    os.killpg(pid, signal.SIGSTOP)
    try:
        ground.pause(20, shortest=5)
    finally:
        os.killpg(pid, signal.SIGCONT)
    return "frozen and resumed"


def harm_bucket(harm: Harm, longest: float, ground: Ground) -> str:
    proxy = ground.releases.proxy
    ground.wait_within(5, *FLOWS)
    before = len(proxy.seen)
    proxy.harms.append(harm)
    try:
        ground.pause(longest, shortest=longest / 2)
    finally:
        proxy.harms.remove(harm)
    return f"for {len(proxy.seen) - before} requests"


def upload_halves(ground: Ground) -> str:
    """The description comes before its table, and is alone for a refresh or two."""
    place, content = ground.new_content()
    ground.releases.upload_description(place)
    ground.pause(30, shortest=15)
    ground.releases.upload_table(place, content)
    return "the table came after its description"


def replace(ground: Ground) -> str:
    place = ground.valid_place()
    ground.releases.upload_table(place, ground.releases.new_content(place.split("/")[1]))
    return "new content at the old place"


def spoil_and_correct(ground: Ground) -> str:
    place, content = ground.new_content()
    cut_off = content[: len(content) - len(content.splitlines()[-1]) // 2 - 1]
    bad = ground.random.choice((cut_off, content.replace(b"geneA", b"", 1), b"<html>no</html>"))
    ground.releases.upload_table(place, bad, valid=False)
    ground.releases.upload_description(place)

    def refused() -> bool:
        runs = watch.flow_runs(ground.stack, "fit-screen")
        ends = (str(run["parameters"]) for run in runs if run["state_name"] == "Refused")
        return any(place in parameters for parameters in ends)

    seen = wait_for(refused, BEGINS)
    ground.releases.upload_table(place, content)
    return "refused, then corrected" if seen else "corrected before a fit read it"


def upload_again(elsewhere: bool, ground: Ground) -> str:
    place = ground.valid_place()
    target = ground.place_in(place.split("/")[1]) if elsewhere else place
    in_parts = ground.random.random() < 0.7
    ground.releases.upload(target, ground.releases.sound[place], in_parts=in_parts)
    return "with another ETag" if in_parts else "with the same ETag"


Fault = Callable[[Ground], str | None]
# Faults that need a release that was just uploaded, and all that upload a new content.
AFTER_UPLOAD: dict[str, Fault] = {
    "a fit killed": partial(kill_run, ("fit-screen",), 25),
    "what follows a fit killed": partial(kill_run, ("compare-runs", "promote-fit"), 8),
    "a fit stopped for two minutes": stop_fit,
    "the worker killed with all it runs": partial(kill_worker, False),
}
WITH_CONTENT: dict[str, Fault] = {
    **AFTER_UPLOAD,
    "a release half uploaded": upload_halves,
    "a release replaced": replace,
    "a spoiled release, corrected later": spoil_and_correct,
}
SERVERS: dict[str, Fault] = {
    "the worker killed": partial(kill_worker, True),
    **{f"{name} killed": partial(kill_server, name) for name in ("prefect", "mlflow", "postgres")},
}
SLOW = Harm(bytes_a_second=20_000, first=lambda: time.sleep(0.7))
FAULTS: dict[str, Fault] = {
    **WITH_CONTENT,
    **SERVERS,
    **{f"{name} frozen": partial(freeze_server, name) for name in ("prefect", "mlflow")},
    "a refresh killed": partial(kill_run, ("refresh-releases",), 10),
    "the bucket away": partial(harm_bucket, Harm(reset=True), 20),
    "the bucket silent": partial(harm_bucket, Harm(silent=True), 40),
    "the bucket slow": partial(harm_bucket, SLOW, 30),
    "the bucket cutting connections": partial(harm_bucket, Harm(method="GET", cut_after=100), 20),
    "the bucket throttling": partial(harm_bucket, Harm(refuse=(503, "SlowDown")), 20),
    "the bucket's clock ahead": partial(harm_bucket, Harm(ahead=timedelta(seconds=12)), 40),
    "a release uploaded again unchanged": partial(upload_again, False),
    "one release at two places": partial(upload_again, True),
}

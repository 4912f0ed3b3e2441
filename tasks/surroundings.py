"""Looks at what a fit needs around it: packages, machine, disk, MLflow, a bucket, clocks.

Each look is a function that returns what it found and never raises; none changes anything that
stays. Prefect is looked at where its client is at hand, in `deployments.doctor`.
"""

from __future__ import annotations

import difflib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import requests
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from sqlalchemy.engine import make_url

from model.exact.workers import n_threads
from model.memory import in_words
from schemas.errors import EnvironmentTrouble
from schemas.surroundings import Looked, LookStatus
from tasks.memory import available_bytes
from tasks.releases import ENDING, LEVELS
from tasks.storage import find_files
from tasks.tracking_run import (
    SERVER_PATIENCE,
    connect,
    tracking_errors,
    tracking_uri,
    without_password,
)

LEAST_ROOM, ENOUGH_ROOM = 200e6, 2e9
"""Bytes on a disk: a fit of a sample leaves a tenth of the first, one of a whole release the
second."""
LEAST_MEMORY, ENOUGH_MEMORY = 1.5e9, 6e9
"""Bytes of memory that a small fit takes, and that one of a whole release with m4 does."""
CLOCKS_MAY_DIFFER = timedelta(seconds=60)
LONGEST_FIT = timedelta(days=1)
"""A run that has been RUNNING for longer is one whose process is dead."""

Look = Callable[[], Iterable[Looked]]


def looked_at(what: str, look: Look) -> list[Looked]:
    """Return what a look found; where it breaks down, that is what was found."""
    try:
        return list(look())
    except EnvironmentTrouble as error:
        message, _, mend = without_password(str(error)).partition("; ")
        return [Looked(what=what, status="trouble", found=message, mend=mend)]
    except Exception as error:
        found = without_password(f"could not be looked at: {type(error).__name__}: {error}")
        return [Looked(what=what, status="trouble", found=" ".join(found.split()))]


def look_at_python(running: str = platform.python_version()) -> Iterator[Looked]:
    """The version of Python."""
    pythons = SpecifierSet(metadata("screenbayes")["Requires-Python"])
    fits = pythons.contains(running, prereleases=True)
    yield Looked(
        what="Python",
        status="ok" if fits else "trouble",
        found=running,
        mend="" if fits else f"expected {pythons}: `make setup` finds or fetches one",
    )


def look_at_packages(
    wanted: Iterable[str] | None = None, installed: Callable[[str], str] = version
) -> Iterator[Looked]:
    """Whether every package is there, in a version that works; some break silently in others."""
    bad, known = [], 0
    for line in requires("screenbayes") or () if wanted is None else wanted:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        known += 1
        try:
            there = installed(requirement.name)
        except PackageNotFoundError:
            bad.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(there, prereleases=True):
            bad.append(f"{requirement.name} {there}, expected {requirement.specifier}")
    yield Looked(
        what="packages",
        status="trouble" if bad else "ok",
        found="; ".join(bad) or f"{known} in versions that work together",
        mend="`make setup` installs the locked versions" if bad else "",
    )


def look_at_machine(available: Callable[[], int | None] = available_bytes) -> Iterator[Looked]:
    """Cores, and the memory this process can get."""
    yield Looked(what="cores", status="ok", found=str(n_threads()))
    memory = available()
    if memory is None:
        yield Looked(what="memory", status="ok", found="the machine does not say")
        return
    mends: dict[LookStatus, str] = {
        "ok": "",
        "warning": f"enough for a sample; a whole release wants {in_words(ENOUGH_MEMORY)}: take "
        "fewer genes, or a larger machine",
        "trouble": "end other programs, or take a larger machine",
    }
    status = _enough(memory, LEAST_MEMORY, ENOUGH_MEMORY)
    found = f"{in_words(memory)} to be had"
    yield Looked(what="memory", status=status, found=found, mend=mends[status])


def look_at_disk() -> Iterator[Looked]:
    """Room and rights where runs are kept, where one works, and for what is temporary."""
    places = {"working folder": Path.cwd(), "temporary folder": Path(tempfile.gettempdir())}
    uri = tracking_uri()
    if uri.startswith("sqlite:"):
        places["folder of MLflow's store"] = Path(make_url(uri).database or "").parent
    seen: set[Path] = set()
    for what, folder in places.items():
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield from _look_at_folder(what, folder)


def _look_at_folder(what: str, folder: Path) -> Iterator[Looked]:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Looked(
            what=what,
            status="trouble",
            found=f"{folder} cannot be written to: {error.strerror}",
            mend="correct its permissions or make room, or work in another folder",
        )
        return
    status = _enough(free, LEAST_ROOM, ENOUGH_ROOM)
    yield Looked(
        what=what,
        status=status,
        found=f"{folder}, {in_words(free)} free",
        mend="" if status == "ok" else "make room: a fit of a whole release leaves 2 GB",
    )


def _enough(there: float, least: float, enough: float) -> LookStatus:
    if there >= enough:
        return "ok"
    return "warning" if there >= least else "trouble"


def look_at_mlflow() -> Iterator[Looked]:
    """Whether the store of runs answers, is of this MLflow, and holds runs nobody fills."""
    uri = tracking_uri()
    shown = without_password(uri)
    if uri.startswith("sqlite:") and not Path(make_url(uri).database or "").exists():
        yield Looked(what="MLflow", status="ok", found=f"{shown}: made by the first fit")
        return
    with tracking_errors(uri):
        client = connect(uri)
        experiments = [one.experiment_id for one in client.search_experiments(max_results=1000)]
        before = int((datetime.now(UTC) - LONGEST_FIT).timestamp() * 1000)
        dead = client.search_runs(
            experiments,
            f"attributes.status = 'RUNNING' and attributes.start_time < {before}",
            max_results=100,
        )
    yield Looked(what="MLflow", status="ok", found=f"{shown}: {len(experiments)} experiment(s)")
    if uri.startswith("http"):
        yield from _look_at_mlflow_version(uri)
        yield from _look_at_clock("clock, against MLflow", uri)
    if dead:
        ids = ", ".join(run.info.run_id for run in dead[:3])
        yield Looked(
            what="runs in MLflow",
            status="warning",
            found=f"{len(dead)} RUNNING for more than a day, such as {ids}: their processes died",
            mend="the next fit of the dataset by a deployment sets them KILLED; or delete them",
        )


def _look_at_mlflow_version(uri: str) -> Iterator[Looked]:
    ours = version("mlflow")
    theirs = requests.get(f"{uri.rstrip('/')}/version", timeout=SERVER_PATIENCE).text.strip()
    same = theirs.split(".")[:2] == ours.split(".")[:2]
    yield Looked(
        what="version of MLflow",
        status="ok" if same else "warning",
        found=f"server {theirs[:30]}, here {ours}",
        mend=""
        if same
        else "bring both to one version, the server's store first (docs/production.md)",
    )


def _look_at_clock(what: str, address: str) -> Iterator[Looked]:
    started = time.time()
    answer = requests.get(f"{address.rstrip('/')}/health", timeout=SERVER_PATIENCE)
    if "Date" not in answer.headers:
        return
    theirs = parsedate_to_datetime(answer.headers["Date"])
    apart = theirs - datetime.fromtimestamp(started, UTC)
    near = abs(apart) <= CLOCKS_MAY_DIFFER
    yield Looked(
        what=what,
        status="ok" if near else "warning",
        found=f"{apart.total_seconds():+.0f} s",
        mend="" if near else "set both by NTP: schedules and the settling of releases go by them",
    )


def look_at_bucket(environment: Mapping[str, str] | None = None) -> Iterator[Looked]:
    """Whether the keys of a bucket are complete and the prefix can be listed."""
    settings = os.environ if environment is None else environment
    pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    lacking = [name for name in pair if not settings.get(name)]
    if len(lacking) == 1:
        yield Looked(
            what="keys of the bucket",
            status="trouble",
            found=f"{lacking[0]} is not set, the other of the two is",
            mend="set both",
        )
        return
    prefix = settings.get("SCREENBAYES_PREFIX", "")
    if not prefix:
        yield Looked(what="releases", status="ok", found="SCREENBAYES_PREFIX is not set")
        return
    try:
        n_files = len(find_files(prefix, ENDING, LEVELS))
    except FileNotFoundError:
        yield Looked(
            what="releases",
            status="trouble",
            found=f"nothing at {prefix}",
            mend="correct SCREENBAYES_PREFIX, or put the first release there",
        )
        return
    yield Looked(what="releases", status="ok", found=f"{n_files} dataset file(s) at {prefix}")


def look_at_variables(
    known: Iterable[str], environment: Mapping[str, str] | None = None
) -> Iterator[Looked]:
    """Variables of the environment that look like ours and are none: a misspelt one is silent."""
    ours = [name for name in known if name.startswith("SCREENBAYES_")]
    settings = os.environ if environment is None else environment
    for name in sorted(settings):
        if name.startswith("SCREENBAYES_") and name not in ours:
            near = difflib.get_close_matches(name, ours, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(ours)}"
            yield Looked(
                what="variables", status="warning", found=f"{name} is not read", mend=meant
            )

"""Checks of the environment of fits: packages, machine, disk, MLflow, bucket, clocks.

Each check yields its results and changes nothing. That of Prefect is in `deployments.cli.doctor`.
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

from model.engines.memory import format_bytes
from model.runtime.executors import n_threads
from schemas.errors import ExternalServiceError
from schemas.health import HealthCheck, HealthStatus
from tasks.reading.releases import ENDING, LEVELS
from tasks.reading.storage import find_files
from tasks.runtime.memory import available_bytes
from tasks.tracking.store import (
    SERVER_PATIENCE,
    tracking_store,
    tracking_uri,
    without_password,
)

LEAST_ROOM, ENOUGH_ROOM = 200e6, 2e9
"""Bytes on a disk: a fit of a sample stores a tenth of the first, of a whole release the second."""
LEAST_MEMORY, ENOUGH_MEMORY = 1.5e9, 6e9
"""Bytes of memory of a small fit, and of m4 on a whole release."""
CLOCKS_MAY_DIFFER = timedelta(seconds=60)
LONGEST_FIT = timedelta(days=1)
"""The process of a run that is RUNNING for longer is taken for dead."""

Check = Callable[[], Iterable[HealthCheck]]


def run_check(what: str, check: Check) -> list[HealthCheck]:
    """Return the results of a check; an error becomes a result with status `trouble`."""
    try:
        return list(check())
    except ExternalServiceError as error:
        message, _, remedy = without_password(str(error)).partition("; ")
        return [HealthCheck(what=what, status="trouble", found=message, remedy=remedy)]
    except Exception as error:
        found = without_password(f"could not be checked: {type(error).__name__}: {error}")
        return [HealthCheck(what=what, status="trouble", found=" ".join(found.split()))]


def check_python(running: str = platform.python_version()) -> Iterator[HealthCheck]:
    """Check the version of Python."""
    pythons = SpecifierSet(metadata("screenbayes")["Requires-Python"])
    fits = pythons.contains(running, prereleases=True)
    yield HealthCheck(
        what="Python",
        status="ok" if fits else "trouble",
        found=running,
        remedy="" if fits else f"expected {pythons}: `make setup` finds or fetches one",
    )


def check_packages(
    wanted: Iterable[str] | None = None, installed: Callable[[str], str] = version
) -> Iterator[HealthCheck]:
    """Check that every package is installed in a supported version; others may fail silently."""
    bad, known = [], 0
    for line in requires("screenbayes") or () if wanted is None else wanted:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        known += 1
        try:
            found = installed(requirement.name)
        except PackageNotFoundError:
            bad.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            bad.append(f"{requirement.name} {found}, expected {requirement.specifier}")
    yield HealthCheck(
        what="packages",
        status="trouble" if bad else "ok",
        found="; ".join(bad) or f"{known} in supported versions",
        remedy="`make setup` installs the locked versions" if bad else "",
    )


def check_machine(available: Callable[[], int | None] = available_bytes) -> Iterator[HealthCheck]:
    """Check the cores and the memory available to this process."""
    yield HealthCheck(what="cores", status="ok", found=str(n_threads()))
    memory = available()
    if memory is None:
        yield HealthCheck(what="memory", status="ok", found="unknown")
        return
    remedies: dict[HealthStatus, str] = {
        "ok": "",
        "warning": f"enough for a sample; a whole release needs {format_bytes(ENOUGH_MEMORY)}: "
        "fit fewer genes, or use a larger machine",
        "trouble": "end other programs, or use a larger machine",
    }
    status = _enough(memory, LEAST_MEMORY, ENOUGH_MEMORY)
    found = f"{format_bytes(memory)} available"
    yield HealthCheck(what="memory", status=status, found=found, remedy=remedies[status])


def check_disk() -> Iterator[HealthCheck]:
    """Check space and permissions of the working folder, the temporary folder and the store."""
    places = {"working folder": Path.cwd(), "temporary folder": Path(tempfile.gettempdir())}
    uri = tracking_uri()
    if uri.startswith("sqlite:"):
        places["folder of MLflow's store"] = Path(make_url(uri).database or "").parent
    seen: set[Path] = set()
    for what, folder in places.items():
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield from _check_folder(what, folder)


def _check_folder(what: str, folder: Path) -> Iterator[HealthCheck]:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield HealthCheck(
            what=what,
            status="trouble",
            found=f"{folder} cannot be written to: {error.strerror}",
            remedy="correct its permissions or make room, or work in another folder",
        )
        return
    status = _enough(free, LEAST_ROOM, ENOUGH_ROOM)
    yield HealthCheck(
        what=what,
        status=status,
        found=f"{folder}, {format_bytes(free)} free",
        remedy="" if status == "ok" else "make room: a fit of a whole release stores 2 GB",
    )


def _enough(available: float, least: float, enough: float) -> HealthStatus:
    if available >= enough:
        return "ok"
    return "warning" if available >= least else "trouble"


def check_mlflow() -> Iterator[HealthCheck]:
    """Check the store of runs: its version, its clock, and runs of dead processes."""
    uri = tracking_uri()
    shown = without_password(uri)
    if uri.startswith("sqlite:") and not Path(make_url(uri).database or "").exists():
        yield HealthCheck(what="MLflow", status="ok", found=f"{shown}: the first fit creates it")
        return
    with tracking_store() as (client, _):
        experiments = [one.experiment_id for one in client.search_experiments(max_results=1000)]
        before = int((datetime.now(UTC) - LONGEST_FIT).timestamp() * 1000)
        dead = client.search_runs(
            experiments,
            f"attributes.status = 'RUNNING' and attributes.start_time < {before}",
            max_results=100,
        )
    yield HealthCheck(
        what="MLflow", status="ok", found=f"{shown}: {len(experiments)} experiment(s)"
    )
    if uri.startswith("http"):
        yield from _check_mlflow_version(uri)
        yield from _check_clock("clock, against MLflow", uri)
    if dead:
        ids = ", ".join(run.info.run_id for run in dead[:3])
        yield HealthCheck(
            what="runs in MLflow",
            status="warning",
            found=f"{len(dead)} RUNNING for more than a day, such as {ids}: their processes died",
            remedy="the next fit of the dataset by a deployment sets them KILLED; or delete them",
        )


def _check_mlflow_version(uri: str) -> Iterator[HealthCheck]:
    ours = version("mlflow")
    theirs = requests.get(f"{uri.rstrip('/')}/version", timeout=SERVER_PATIENCE).text.strip()
    same = theirs.split(".")[:2] == ours.split(".")[:2]
    yield HealthCheck(
        what="version of MLflow",
        status="ok" if same else "warning",
        found=f"server {theirs[:30]}, here {ours}",
        remedy=""
        if same
        else "install one version on both; upgrade the server's store first (docs/production.md)",
    )


def _check_clock(what: str, address: str) -> Iterator[HealthCheck]:
    started = time.time()
    answer = requests.get(f"{address.rstrip('/')}/health", timeout=SERVER_PATIENCE)
    if "Date" not in answer.headers:
        return
    theirs = parsedate_to_datetime(answer.headers["Date"])
    apart = theirs - datetime.fromtimestamp(started, UTC)
    near = abs(apart) <= CLOCKS_MAY_DIFFER
    yield HealthCheck(
        what=what,
        status="ok" if near else "warning",
        found=f"{apart.total_seconds():+.0f} s",
        remedy=""
        if near
        else "set both by NTP: schedules and the detection of settled releases use them",
    )


def check_bucket(environment: Mapping[str, str] | None = None) -> Iterator[HealthCheck]:
    """Check that the keys of a bucket are complete and the prefix can be listed."""
    settings = os.environ if environment is None else environment
    pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    lacking = [name for name in pair if not settings.get(name)]
    if len(lacking) == 1:
        yield HealthCheck(
            what="keys of the bucket",
            status="trouble",
            found=f"{lacking[0]} is not set, the other one is",
            remedy="set both",
        )
        return
    prefix = settings.get("SCREENBAYES_PREFIX", "")
    if not prefix:
        yield HealthCheck(what="releases", status="ok", found="SCREENBAYES_PREFIX is not set")
        return
    try:
        n_files = len(find_files(prefix, ENDING, LEVELS))
    except FileNotFoundError:
        yield HealthCheck(
            what="releases",
            status="trouble",
            found=f"nothing at {prefix}",
            remedy="correct SCREENBAYES_PREFIX, or put the first release there",
        )
        return
    yield HealthCheck(what="releases", status="ok", found=f"{n_files} dataset file(s) at {prefix}")


def check_variables(
    known: Iterable[str], environment: Mapping[str, str] | None = None
) -> Iterator[HealthCheck]:
    """Find environment variables that look like a misspelt one of ours."""
    ours = [name for name in known if name.startswith("SCREENBAYES_")]
    settings = os.environ if environment is None else environment
    for name in sorted(settings):
        if name.startswith("SCREENBAYES_") and name not in ours:
            near = difflib.get_close_matches(name, ours, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(ours)}"
            yield HealthCheck(
                what="variables", status="warning", found=f"{name} is not read", remedy=meant
            )

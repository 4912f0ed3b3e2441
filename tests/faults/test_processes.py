"""Ctrl-C, a closed terminal, kills: at several stages of a command."""

import os
import pty
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from deployments.cli.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED, VERDICT_FAIL
from tests.faults.catalogue import Area, Left, fault, variants
from tests.faults.commands import AT_A_TERMINAL, LONG, QUICK, OwnProcess, Process
from tests.integration.processes import wait_until
from tests.integration.runs import runs_in

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NUTS = ("fit", "SCREEN", "--engine", "nuts", *LONG)
SAMPLING = r"sampling with nutpie.* [1-9]\d*/"


def ended(what: str, *, code=INTERRUPTED, left=Left.KILLED):
    told = ("interrupted",) if code in (INTERRUPTED, TERMINATED) else ()
    return fault(Area.PROCESSES, what, code=code, told=told, left=left)


# fmt: off
STAGES = (
    (ended("Ctrl-C while the tables are read", left=Left.NO_RUN), (
        (("fit", "SCREEN", *QUICK), "Validating"),)),
    (ended("Ctrl-C in the exact engine"), (
        (("fit", "SCREEN", *QUICK), r"leaving out cell lines.* \d+/"),)),
    (ended("Ctrl-C while nutpie samples"), ((NUTS, SAMPLING),)),
    (ended("SIGTERM while nutpie samples", code=TERMINATED), (
        (NUTS, SAMPLING),)),
    (ended("Ctrl-C while PyMC samples"), (
        ((*NUTS, "--sampler", "pymc"), r"sampling with pymc.* [1-9]\d*/"),)),
    (ended("Ctrl-C while the run is stored"), (
        (("fit", "SCREEN", "--model", "m4", "--draws", "100", "--pictures", "all"),
         r"drawing pictures.* 16/16"),)),
    (ended("Ctrl-C while a release is simulated", left=Left.AS_BEFORE), (
        (("simulate", "--out", "release", "--genes", "5000", "--cell-lines", "300"),
         r"writing guides.* [1-9]\d*/"),)),
    (ended("Ctrl-C in a calibration"), (
        (("calibrate", "--simulations", "100000", "--model", "m4"),
         r"simulating and fitting.* [1-9]\d*/"),)),
)
# fmt: on


def begin(words, screen: Path, until: str, command: OwnProcess, **streams: str) -> Process:
    command.environment["TMPDIR"] = str(screen.parent / "temporary")
    (screen.parent / "temporary").mkdir(exist_ok=True)
    arguments = [str(screen) if word == "SCREEN" else word for word in words]
    process = command.begin(*arguments, **AT_A_TERMINAL, **streams)
    command.wait_for(process, until)
    return process


def ends(process: Process, screen: Path, command: OwnProcess) -> None:
    """Check the end of a command, and that none of its processes and files is left."""
    command.end(process)
    others = ["pgrep", "-s", str(process.pid)]
    wait_until(lambda: subprocess.run(others).returncode, 10, "no process of the command is left")
    assert not list((screen.parent / "temporary").iterdir())


@pytest.mark.parametrize(("words", "until", "told"), variants(STAGES, 2))
def test_an_interrupt(words, until, told, forked, screen):
    process = begin(words, screen, until, forked)
    if forked.fault.code == TERMINATED:
        os.kill(process.pid, signal.SIGTERM)
    else:
        os.killpg(process.pid, signal.SIGINT)
    ends(process, screen, forked)


@ended("the terminal is closed", code=HUNG_UP)
def test_a_terminal_that_is_closed(forked, screen):
    (ours, theirs), shown = pty.openpty(), bytearray()
    path = os.ttyname(theirs)
    process = begin(NUTS, screen, "", forked, out=path, err=path)

    def read() -> None:
        with suppress(OSError):  # closed
            while some := os.read(ours, 65536):
                shown.extend(some)

    threading.Thread(target=read, daemon=True).start()
    forked.wait_for(process, lambda: b"sampling with nutpie" in shown)
    os.close(theirs)
    os.close(ours)
    os.kill(process.pid, signal.SIGHUP)
    ends(process, screen, forked)


@ended(
    "a fit is killed and repeated",
    code=VERDICT_FAIL,
    left="the first run RUNNING, the second FINISHED",
)
def test_a_fit_that_is_killed_and_begun_again(forked, screen):
    process = begin(NUTS, screen, SAMPLING, forked)
    os.killpg(process.pid, signal.SIGKILL)
    forked("fit", screen, *QUICK, told=("Tracked as run",))
    assert [run.info.status for run in runs_in(forked.folder)] == ["FINISHED", "RUNNING"]


@ended("Ctrl-C while Prefect's own server starts", left=Left.AS_BEFORE)
def test_ctrl_c_while_the_embedded_server_starts(fresh, screen, tmp_path):
    fresh.environment["PREFECT_HOME"] = str(tmp_path / "home")
    process = begin(("fit", "SCREEN", *QUICK), screen, "Starting Prefect", fresh)
    fresh.wait_for(process, (tmp_path / "home" / "prefect.db").exists)
    os.killpg(process.pid, signal.SIGINT)
    ends(process, screen, fresh)

"""Ctrl-C, a closed terminal, kills: at every stage of a command, and twice."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from deployments.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED, VERDICT_FAIL
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command
from tests.faults.terminal import Terminal
from tests.integration.runs import runs_in

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FIT = ("fit", "SCREEN", "--draws", "100")
LONG = ("--engine", "nuts", "--draws", "20000")
STAGES = (
    # what happens, the command, what it shows then, what is left
    ("while the tables are read", FIT, r"Validating", Left.NO_RUN),
    ("while the exact engine is at work", FIT, r"\bfitting\b", Left.KILLED),
    ("while nutpie samples", (*FIT[:2], *LONG), r"sampling with nutpie.* [1-9]\d*/", Left.KILLED),
    (
        "while PyMC samples in processes of its own",
        (*FIT[:2], *LONG, "--sampler", "pymc"),
        r"sampling with pymc.* [1-9]\d*/",
        Left.KILLED,
    ),
    (
        "while numpyro samples",
        (*FIT[:2], *LONG, "--sampler", "numpyro"),
        r"sampling with numpyro",
        Left.KILLED,
    ),
    ("while cell lines are left out", FIT, r"leaving out cell lines.* \d+/", Left.KILLED),
    ("while pictures are drawn", FIT, r"drawing pictures.* [1-9]\d*/", Left.KILLED),
    ("while the run is stored", FIT, r"drawing pictures.* 16/16", Left.KILLED),
    (
        "while a release is simulated",
        ("simulate", "--out", "release", "--genes", "5000", "--cell-lines", "300"),
        r"writing guides.* [1-9]\d*/",
        Left.AS_BEFORE,
    ),
    (
        "while a calibration fits its screens in processes of its own",
        ("calibrate", "--simulations", "100000", "--engine", "exact"),
        r"simulating and fitting.* [1-9]\d*/",
        Left.KILLED,
    ),
)


class AtATerminal:
    """Commands at a terminal, in the folder of the fault, with temporary files of their own."""

    def __init__(self, command: Command, screen: Path, tmp_path: Path) -> None:
        self.command = command
        self.temporary = tmp_path / "temporary"
        self.temporary.mkdir()
        self.terminal = Terminal()
        command.environment["TMPDIR"] = str(self.temporary)
        command.terminal = self.terminal
        self._screen = str(screen)

    def begin(self, *words: str, until: str) -> None:
        """Begin a command and wait until it shows this."""
        arguments = [self._screen if word == "SCREEN" else word for word in words]
        self.process = self.command.begin(*arguments)
        self.wait_for(until)

    def wait_for(self, pattern: str) -> None:
        """Wait until it shows this."""
        shown = self.terminal.wait_for(pattern, while_=lambda: self.process.poll() is None)
        assert shown, self.terminal.shows()

    def press(self) -> None:
        """Press Ctrl-C: to all processes of the command, as a terminal does it."""
        with suppress(ProcessLookupError):  # it has ended by the one before
            os.killpg(self.process.pid, signal.SIGINT)

    def close(self) -> None:
        """Close the terminal, which tells the command."""
        self.terminal.close()
        os.kill(self.process.pid, signal.SIGHUP)

    def ends(self) -> None:
        """It ends as its fault says, and nothing of it is left."""
        self.command.end(self.process)
        assert not processes_of(self.process.pid)
        assert not list(self.temporary.iterdir())


def processes_of(session: int) -> list[psutil.Process]:
    """The living processes of a session, after a moment for those that are just ending."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [process for process in psutil.process_iter() if _is_of(process.pid, session)]
        if not found:
            return []
        time.sleep(0.2)
    return found


def _is_of(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session
    except ProcessLookupError:
        return False


@pytest.fixture
def at_a_terminal(begun: Command, screen: Path, tmp_path: Path) -> AtATerminal:
    return AtATerminal(begun, screen, tmp_path)


@pytest.mark.parametrize(
    ("words", "until"),
    [
        pytest.param(
            words,
            until,
            marks=fault(
                Area.PROCESSES,
                f"Ctrl-C {when}",
                made="SIGINT to all its processes, at a terminal",
                code=INTERRUPTED,
                told=("interrupted",),
                left=left,
            ),
            id=when,
        )
        for when, words, until, left in STAGES
    ],
)
def test_ctrl_c(at_a_terminal: AtATerminal, words: tuple[str, ...], until: str) -> None:
    at_a_terminal.begin(*words, until=until)
    at_a_terminal.press()
    at_a_terminal.ends()


@fault(
    Area.PROCESSES,
    "the command is asked to terminate",
    made="SIGTERM while nutpie samples",
    code=TERMINATED,
    told=("interrupted",),
    left=Left.KILLED,
)
def test_termination(at_a_terminal: AtATerminal) -> None:
    at_a_terminal.begin("fit", "SCREEN", *LONG, until=r"sampling with nutpie.* [1-9]\d*/")
    os.kill(at_a_terminal.process.pid, signal.SIGTERM)
    at_a_terminal.ends()


@fault(
    Area.PROCESSES,
    "the terminal is closed",
    made="a pseudo-terminal, closed with SIGHUP while nutpie samples",
    code=HUNG_UP,
    left=Left.KILLED,
)
def test_a_terminal_that_is_closed(at_a_terminal: AtATerminal) -> None:
    at_a_terminal.begin("fit", "SCREEN", *LONG, until=r"sampling with nutpie.* [1-9]\d*/")
    at_a_terminal.close()
    at_a_terminal.ends()


@fault(
    Area.PROCESSES,
    "a fit is killed, and begun again",
    made="SIGKILL while nutpie samples",
    code=VERDICT_FAIL,
    told=("Tracked as run",),
    left="the first run RUNNING, as nobody was left to say otherwise; the second FINISHED",
)
def test_a_fit_that_is_killed_and_begun_again(
    at_a_terminal: AtATerminal, begun: Command, screen: Path
) -> None:
    at_a_terminal.begin("fit", "SCREEN", *LONG, until=r"sampling with nutpie.* [1-9]\d*/")
    os.killpg(at_a_terminal.process.pid, signal.SIGKILL)
    at_a_terminal.process.wait(30)
    begun.terminal = None
    begun("fit", screen, "--draws", "100")
    assert [run.info.status for run in runs_in(begun.folder)] == ["FINISHED", "RUNNING"]


@fault(
    Area.PROCESSES,
    "Ctrl-C while Prefect's own server starts",
    made="SIGINT once its database is there, no server",
    code=INTERRUPTED,
    told=("interrupted",),
    left=Left.AS_BEFORE,
)
def test_ctrl_c_while_the_embedded_server_starts(
    command: Command, screen: Path, tmp_path: Path
) -> None:
    started = AtATerminal(command, screen, tmp_path)
    home = tmp_path / "prefect"
    command.environment["PREFECT_HOME"] = str(home)
    started.begin(*FIT, until="Starting Prefect")
    while not (home / "prefect.db").exists():
        assert started.process.poll() is None, started.terminal.shows()
        time.sleep(0.1)
    started.press()
    started.ends()

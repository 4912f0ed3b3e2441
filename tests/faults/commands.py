"""Runs commands of ours as their users do, in a process, and holds them against their fault."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Protocol

import pytest

from deployments.command_line import main
from tests.faults.catalogue import Fault, Left
from tests.faults.terminal import Terminal, take_terminal
from tests.integration.processes import PATIENCE, QUIET, wait_until
from tests.integration.runs import run_is_open, runs_in

ROOT = Path(__file__).resolve().parents[2]
OURS = (sys.executable, "-m", "deployments.command_line")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float


class Process(Protocol):
    """A command that runs, as `subprocess.Popen` has it."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """Its exit code; minus the signal that ended it; None while it runs."""

    def poll(self) -> int | None:
        """Return the same, once it has been asked."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, at most so many seconds; raise subprocess.TimeoutExpired."""


class Command:
    """The command `screenbayes` in a working folder, to end as its fault says."""

    def __init__(self, fault: Fault, folder: Path) -> None:
        self.fault = fault
        self.folder = folder
        self.environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        # A store of its own; and what is printed is buffered, as it is for most people.
        for name in ("MLFLOW_TRACKING_URI", "PYTHONUNBUFFERED"):
            self.environment.pop(name, None)
        self.terminal: Terminal | None = None
        """Where it runs; none: where nobody looks on, its output in files."""
        self.standard_output: str | None = None
        """Path of where it goes instead; empty: it is closed."""
        self._before: dict[Path, bytes] = {}

    def __call__(self, *arguments: str | Path, **environment: str) -> Done:
        """Run it to its end and hold it against the fault."""
        return self.end(self.begin(*arguments, environment=environment))

    def begin(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] = MappingProxyType({}),
        limits: Mapping[int, int] = MappingProxyType({}),
    ) -> Process:
        """Start it; `limits` are those of `resource.setrlimit`."""
        self._before = contents(self.folder)
        self._started = time.monotonic()
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        words = [str(argument) for argument in arguments]
        return self._start(words, {**self.environment, **environment}, limits)

    def _start(
        self, arguments: list[str], environment: Mapping[str, str], limits: Mapping[int, int]
    ) -> Process:
        def begin() -> None:
            if self.terminal is not None:
                take_terminal(self.terminal.path)
            for which, value in limits.items():
                resource.setrlimit(which, (value, value))

        return subprocess.Popen(
            [*OURS, *arguments],
            cwd=self.folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,  # Ctrl-C of a test is for the command, not for the tests
            preexec_fn=begin,
        )

    def end(self, process: Process) -> Done:
        """Wait for its end and hold it against the fault."""
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"not done after {PATIENCE:.0f} s:\n{self.told()}") from None
        seconds = time.monotonic() - self._started
        if self.terminal is not None:
            self.terminal.settle()
        assert process.returncode is not None
        done = Done(process.returncode, *self._output(), seconds)
        holds(self.fault, done)
        look(self.fault.left, self.folder, self._before)
        return done

    def told(self) -> str:
        """What it has told so far, on stdout and stderr."""
        return "\n".join(self._output())

    def _output(self) -> tuple[str, str]:
        if self.terminal is not None:
            return "", self.terminal.shows()
        return _text(self._out), _text(self._err)

    def wait_for(self, process: Process, words: str) -> None:
        """Return once it has told these words."""
        self._wait_until(process, lambda: words in self.told(), f"the command says {words!r}")

    def wait_for_run(self, process: Process) -> None:
        """Return once its run is open, in the store of the working folder."""
        self._wait_until(process, lambda: run_is_open(self.folder), "a run is open")

    def _wait_until(self, process: Process, done: Callable[[], bool], what: str) -> None:
        wait_until(lambda: done() or process.poll() is not None, PATIENCE, what)
        assert process.poll() is None, self.told()

    def interrupt(self, process: Process) -> Done:
        """Press Ctrl-C, as a terminal does it: to all processes of the command."""
        os.killpg(process.pid, signal.SIGINT)
        return self.end(process)


class InThisProcess:
    """The same command without a process of its own: for what ends before anything is computed."""

    def __init__(self, fault: Fault, folder: Path, said: pytest.CaptureFixture[str]) -> None:
        self.fault = fault
        self.folder = folder
        self._said = said

    def __call__(self, *arguments: str | Path) -> Done:
        """Run it to its end and hold it against the fault."""
        before = contents(self.folder)
        started = time.monotonic()
        code = main(list(map(str, arguments)))
        said = self._said.readouterr()
        done = Done(code, said.out, said.err, time.monotonic() - started)
        holds(self.fault, done)
        look(self.fault.left, self.folder, before)
        return done


def _text(file: IO[bytes]) -> str:
    # Its place is that of the process that writes: read without moving it.
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode("utf-8", "replace")


def holds(fault: Fault, done: Done) -> None:
    """The exit code and the message are those of the fault, and no traceback is shown."""
    said = f"{done.out}\n{done.err}"
    assert "Traceback" not in said, said
    assert done.code == fault.code, f"exit code {done.code}\n{said}"
    one_line = " ".join(said.split())
    missing = [words for words in fault.told if " ".join(words.split()) not in one_line]
    assert not missing, f"not told: {missing}\n{said}"


def look(left: Left | str, folder: Path, before: Mapping[Path, bytes]) -> None:
    """What is left in the working folder is what the fault says."""
    if left is Left.AS_BEFORE:
        assert contents(folder) == before
    elif left is Left.NO_RUN:
        assert not runs_in(folder)
    elif left is Left.FAILED or left is Left.KILLED:
        (run,) = runs_in(folder)
        assert run.info.status == left.name
        assert run.data.tags.get("failure"), run.data.tags
    elif left is Left.WHOLE:
        assert [run.info.status for run in runs_in(folder)] == ["FINISHED"]


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file under a folder with its bytes; folders with none."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def kept_in(done: Done) -> Path:
    """The folder that keeps the results of a fit, as the message says; they are in it."""
    folder = Path(" ".join(done.err.split()).partition("kept in ")[2].split()[0].rstrip(".;"))
    for name in ("posterior.nc", "report.html"):
        assert (folder / "artifacts" / name).stat().st_size > 0
    return folder

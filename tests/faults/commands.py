"""Runs commands of ours as their users do, in a process, and holds them against their fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from deployments.command_line import main
from tests.faults.catalogue import Fault, Left
from tests.integration.processes import PATIENCE, QUIET
from tests.integration.runs import runs_in

ROOT = Path(__file__).resolve().parents[2]
OURS = (sys.executable, "-m", "deployments.command_line")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float


class Command:
    """The command `screenbayes` in a working folder, to end as its fault says."""

    def __init__(self, fault: Fault, folder: Path) -> None:
        self.fault = fault
        self.folder = folder
        self.environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        self.environment.pop("MLFLOW_TRACKING_URI", None)
        self._before: dict[Path, bytes] = {}

    def __call__(self, *arguments: str | Path, **environment: str) -> Done:
        """Run it to its end and hold it against the fault."""
        return self.end(self.begin(*arguments, environment=environment))

    def begin(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] = MappingProxyType({}),
        before: Callable[[], None] | None = None,
    ) -> subprocess.Popen[str]:
        """Start it; `before` is called in the new process first, to set its limits."""
        self._before = contents(self.folder)
        self._started = time.monotonic()
        return subprocess.Popen(
            [*OURS, *map(str, arguments)],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C of a test is for the command, not for the tests
            preexec_fn=before,
        )

    def end(self, process: subprocess.Popen[str]) -> Done:
        """Wait for its end and hold it against the fault."""
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"not done after {PATIENCE:.0f} s:\n{out}\n{err}") from None
        done = Done(process.returncode, out, err, time.monotonic() - self._started)
        holds(self.fault, done)
        look(self.fault.left, self.folder, self._before)
        return done

    def interrupt(self, process: subprocess.Popen[str]) -> Done:
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


def holds(fault: Fault, done: Done) -> None:
    """The exit code and the message are those of the fault, and no traceback is shown."""
    said = f"{done.out}\n{done.err}"
    assert "Traceback" not in said, said
    assert done.code == fault.code, said
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

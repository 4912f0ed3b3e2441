"""Runs commands of the product, in this process or in their own, and checks how they end."""

import atexit
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from deployments.cli.app import main
from deployments.cli.exit_codes import BAD_INPUT
from tests.faults.catalogue import Fault, Left
from tests.forks import IMPORTED, run_as_command
from tests.integration.processes import PATIENCE, QUIET, wait_until
from tests.integration.runs import run_is_open, runs_in

ROOT = Path(__file__).resolve().parents[2]
FORKS = multiprocessing.get_context("forkserver")
QUICK = ("--model", "m4", "--draws", "100", "--pictures", "none")
"""Options of a fit that is over soon; its draws are too few to be believed."""
LONG = ("--model", "m4", "--draws", "20000", "--pictures", "none")
"""Options of one long enough for something to happen meanwhile."""
AT_A_TERMINAL = {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}
"""Environment in which progress is shown as at a terminal, though it goes to a file."""
OFTEN = 0.05
"""Seconds: an engine is done within one."""
STATUSES = {Left.FAILED: ["FAILED"], Left.KILLED: ["KILLED"], Left.WHOLE: ["FINISHED"]}
OBEYED = re.compile("[\x00\x1b\u202e]")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Done(NamedTuple):
    code: int | None
    out: str
    err: str


class Process(NamedTuple):
    """A process of a command: the leader of a session of its own."""

    pid: int
    code: Callable[[], int | None]


class Command:
    """The command `screenbayes` in this process, in a working folder."""

    def __init__(self, fault: Fault, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.fault = fault
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: Any, told: tuple[str, ...] = (), **environment: str) -> Done:
        """Run it and check its end; `told` are words of its message beyond those of the fault."""
        before = contents(self.folder)
        with mock.patch.dict(os.environ, environment):
            code = main([str(argument) for argument in arguments])
        return self.check(Done(code, *self._capture.readouterr()), before, told)

    def check(self, done: Done, before: Mapping[Path, bytes], told: tuple[str, ...]) -> Done:
        """Check exit code, message and what is left; no traceback may be shown."""
        output = f"{done.out}\n{done.err}"
        assert "Traceback" not in output, output
        assert done.code != BAD_INPUT or not OBEYED.search(output), repr(output)
        assert done.code == self.fault.code, f"exit code {done.code}\n{output}"
        line = " ".join(output.split())
        missing = [words for words in (*self.fault.told, *told) if words not in line]
        assert not missing, f"{missing} not in:\n{output}"
        left = self.fault.left
        if left is Left.AS_BEFORE:
            assert contents(self.folder) == before
        elif isinstance(left, Left):
            runs = runs_in(self.folder)
            assert [run.info.status for run in runs] == STATUSES.get(left, [])
            assert left is Left.WHOLE or all(run.data.tags.get("failure") for run in runs)
        return done


class OwnProcess(Command):
    """The same in a process of its own: a fork of one that has imported all, or a fresh one."""

    def __init__(self, fault: Fault, folder: Path, *, api: str = "", fresh: bool = False) -> None:
        self.fault = fault
        self.folder = folder
        self.files = [folder.with_name(f"{folder.name}.{name}") for name in ("out", "err")]
        self._fresh = fresh
        self._begun: list[Process] = []
        self.environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        self.environment.pop("PYTHONUNBUFFERED", None)  # as for most people
        if api:
            self.environment["PREFECT_API_URL"] = api

    def __call__(self, *arguments: Any, told: tuple[str, ...] = (), **environment: str) -> Done:
        return self.end(self.begin(*arguments, **environment), told)

    def begin(self, *arguments: Any, out="", err="", limit=None, **environment: str) -> Process:
        """Start it; `out` and `err` are where it prints (None: closed), `limit` of setrlimit."""
        self._before = contents(self.folder)
        for file in self.files:
            file.write_bytes(b"")
        streams = (str(self.files[0]) if out == "" else out, err or str(self.files[1]))
        words = [str(argument) for argument in arguments]
        place = (str(self.folder), streams, limit)
        given = self.environment | environment
        if self._fresh:
            command = [sys.executable, "-m", "deployments.cli.app", *words]
            begun = subprocess.Popen(command, env=given, preexec_fn=lambda: _enter(*place))
            self._begun.append(Process(begun.pid, begun.poll))
        else:
            fork = FORKS.Process(target=_become, args=(words, place, given))
            fork.start()
            assert fork.pid is not None
            self._begun.append(Process(fork.pid, lambda: fork.exitcode))
        return self._begun[-1]

    def kill(self) -> None:
        """Kill what a test that failed has left running."""
        for process in self._begun:
            if process.code() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def end(self, process: Process, told: tuple[str, ...] = ()) -> Done:
        wait_until(lambda: process.code() is not None, PATIENCE, "the command ends", OFTEN)
        return self.check(Done(process.code(), *self.printed()), self._before, told)

    def printed(self) -> list[str]:
        """What it has printed so far, on stdout and stderr, without colours and cursor moves."""
        texts = (file.read_text(encoding="utf-8", errors="replace") for file in self.files)
        return [CONTROL.sub("", text).replace("\r", "\n") for text in texts]

    def wait_for(self, process: Process, event: str | Callable[[], Any]) -> None:
        """Return once it has printed a match, or something is so; fail if it ends before."""
        so = event if callable(event) else lambda: re.search(event, "\n".join(self.printed()))
        wait_until(lambda: so() or process.code() is not None, PATIENCE, str(event), OFTEN)
        assert process.code() is None, self.printed()

    def wait_for_run(self, process: Process) -> None:
        """Return once its run is open, in the store of the working folder."""
        self.wait_for(process, lambda: run_is_open(self.folder))


def prepare_forks(api: str) -> None:
    """Start the process whose forks commands are, with this Prefect server as theirs."""
    from multiprocessing.forkserver import ensure_running

    FORKS.set_forkserver_preload(IMPORTED)
    with mock.patch.dict(os.environ, PREFECT_API_URL=api):
        ensure_running()


def _enter(folder: str, streams: tuple[str | None, str], limit: tuple[int, int] | None) -> None:
    os.setsid()  # a signal to the group is for the command, not for the tests
    os.chdir(folder)
    for number, path in enumerate(streams, 1):
        if path is None:
            os.close(number)
        else:
            os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY), number)
    if limit is not None:
        resource.setrlimit(limit[0], (limit[1], limit[1]))


def _become(words: list[str], place: tuple[Any, ...], environment: dict[str, str]) -> None:
    _enter(*place)
    sys.stdout = None if place[1][0] is None else open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    code = run_as_command(words, environment)
    atexit._run_exitfuncs()  # a fork of multiprocessing ends without
    sys.exit(code)


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

"""Commands begun in copies of a process that has imported everything, at a Prefect server.

Tests of what comes after the imports need not pay for them each time: half of a small fit is
imports. What is tested of the start itself, or of the environment in which libraries are imported,
needs a process of its own (`tests.faults.commands`).
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from tests.faults.commands import Command
from tests.faults.terminal import take_terminal

IMPORTED = [
    "deployments.command_line",
    "deployments.terminal",
    "flows.fit_screen",
    "flows.calibrate",
    "matplotlib.pyplot",
]

CONTEXT = multiprocessing.get_context("forkserver")


class Forked:
    """A command in a copy of the nursery, asked for like `subprocess.Popen`."""

    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("screenbayes", timeout or 0)
        return self._process.exitcode


class NurseryCommand(Command):
    """The command `screenbayes`, begun in a copy of the nursery."""

    def _start(
        self, arguments: list[str], environment: Mapping[str, str], limits: Mapping[int, int]
    ) -> Forked:
        terminal = self.terminal.path if self.terminal is not None else ""
        out, err = (f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (self._out, self._err))
        if self.standard_output is not None:
            out = self.standard_output
        where = (str(self.folder), terminal, out, err)
        process = CONTEXT.Process(
            target=_run, args=(arguments, where, dict(environment), dict(limits))
        )
        process.start()
        return Forked(process)


def open_nursery(api: str) -> None:
    """Begin the process whose copies commands are, with this Prefect server as theirs."""
    from multiprocessing.forkserver import ensure_running

    CONTEXT.set_forkserver_preload(IMPORTED)
    before = os.environ.get("PREFECT_API_URL")
    os.environ["PREFECT_API_URL"] = api
    try:
        ensure_running()
    finally:
        del os.environ["PREFECT_API_URL"]
        if before is not None:
            os.environ["PREFECT_API_URL"] = before


def _run(
    arguments: list[str],
    where: tuple[str, str, str, str],
    environment: dict[str, str],
    limits: dict[int, int],
) -> None:
    """Become the command: in its folder, with its environment, its output into files."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    from deployments.command_line import main

    folder, terminal, out, err = where
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may be another
    if terminal:
        take_terminal(terminal)
    for stream, path in () if terminal else ((1, out), (2, err)):
        if not path:
            os.close(stream)
            continue
        opened = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, stream)
        os.close(opened)
    # As of a process begun so; the nursery's own still believe they are files with a place in them.
    sys.stdout = open(1, "w", closefd=False) if terminal or out else None  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    # Prefect has read its settings before.
    address = environment.get("PREFECT_API_URL")
    with (
        temporary_settings({PREFECT_API_URL: address})
        if address
        else temporary_settings(
            {PREFECT_HOME: environment["PREFECT_HOME"]}, restore_defaults={PREFECT_API_URL}
        )
    ):
        code = main(arguments)
    atexit._run_exitfuncs()  # as the end of a program does, and that of a copy does not
    sys.exit(code)

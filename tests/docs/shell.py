"""A reader's shell: commands one after the other, as typed, in one folder and one environment.

What `export`, `cd` and activation leave behind holds for the next command, as in a terminal. A
server is left running until Ctrl-C, when the page is over.
"""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests

MINUTES = 60.0


class Shell:
    """bash, with a memory for environment and folder between commands."""

    def __init__(self, folder: Path, state: Path, environment: Mapping[str, str]) -> None:
        """`folder` is where the reader is; `state` a folder of the shell's own."""
        self.said = ""
        """All that has been printed so far."""
        self._environment = {**os.environ, **environment}
        self._state, self._folder = state, folder
        self._servers: list[subprocess.Popen[bytes]] = []
        state.mkdir(parents=True, exist_ok=True)
        (state / "left").write_text(f"cd {shlex.quote(str(folder))}\n")

    def run(self, command: str, seconds: float = 5 * MINUTES) -> tuple[int, str]:
        """Type a command; return its exit code and what it printed, both streams."""
        process = self._start(command, log := self._log())
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._end(process)
            code = -1
        said = log.read_text(encoding="utf-8", errors="replace")
        self.said += said
        return code, said

    def serve(self, command: str, answers: Callable[[str], bool], seconds: float) -> str:
        """Type a command that goes on; return what it printed until it answered."""
        process = self._start(f"exec {command}", log := self._log())
        self._servers.append(process)
        deadline = time.monotonic() + seconds
        while True:
            said = log.read_text(encoding="utf-8", errors="replace")
            assert process.poll() is None, f"{command} has ended:\n{said}"
            try:
                if answers(said):
                    self.said += said
                    return said
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, f"{command} does not answer:\n{said}"
            time.sleep(0.5)

    def stop_servers(self) -> None:
        """Ctrl-C to every server, the last one first."""
        while self._servers:
            self._end(self._servers.pop())

    def _start(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        left = shlex.quote(str(self._state / "left"))
        script = (
            f". {left}\n"
            f'trap \'code=$?; {{ export -p; echo cd "$(printf %q "$PWD")"; }} > {left}; '
            f"exit $code' EXIT\n{command}\n"
        )
        with log.open("wb") as stream:
            return subprocess.Popen(
                ["bash", "-c", script],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _log(self) -> Path:
        return self._state / f"{len(list(self._state.iterdir()))}.log"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

"""A reader's shell: commands one after the other, as typed, in one folder and one environment.

What `export`, `cd` and activation leave behind holds for the next command, as in a terminal. A
server is left running until the page is over.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.integration.processes import Server


class Shell:
    """bash, with a memory for environment and folder between commands."""

    def __init__(self, folder: Path, state: Path, environment: Mapping[str, str]) -> None:
        """`folder` is where the reader is; `state` a folder of the shell's own."""
        self.said = ""
        """All that has been printed so far."""
        self._environment = {**os.environ, **environment}
        self._state = state
        self._servers: list[Server] = []
        state.mkdir(parents=True, exist_ok=True)
        (state / "left").write_text(f"cd {shlex.quote(str(folder))}\n")

    def run(self, command: str) -> tuple[int, str]:
        """Type a command; return its exit code and what it printed, both streams."""
        log = self._state / f"{len(list(self._state.iterdir()))}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                self._bash(command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            code = process.wait(300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = -1
        return code, self._read(log)

    def serve(self, command: str, answers: Callable[[str], bool], seconds: float) -> str:
        """Type a command that goes on; return what it printed until it answered."""
        name = f"server {len(self._servers)}"
        server = Server(name, self._state, self._bash(f"exec {command}"), self._environment)
        self._servers.append(server)
        server.start(lambda: answers(server.log.read_text(errors="replace")), seconds)
        return self._read(server.log)

    def stop_servers(self) -> None:
        """Stop every server, the last one first."""
        while self._servers:
            self._servers.pop().stop()

    def _bash(self, command: str) -> list[str]:
        left = shlex.quote(str(self._state / "left"))
        script = (
            f". {left}\n"
            f'trap \'code=$?; {{ export -p; echo cd "$(printf %q "$PWD")"; }} > {left}; '
            f"exit $code' EXIT\n{command}\n"
        )
        return ["bash", "-c", script]

    def _read(self, log: Path) -> str:
        said = log.read_text(encoding="utf-8", errors="replace")
        self.said += said
        return said

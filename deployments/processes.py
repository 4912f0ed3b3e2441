"""Servers that a command of ours brings up beside itself, on loopback, and takes down again.

Which servers, and what they serve, is `deployments.workbench`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import requests

from schemas.errors import EnvironmentTrouble, UserError

HOST = "127.0.0.1"
PATIENCE = 120.0
"""Seconds for a server to answer: on a busy machine the first start takes a minute."""
GRACE = 20.0
"""Seconds for a process to end by itself once it is asked to."""
LINES_TOLD = 8


class ServerTrouble(EnvironmentTrouble):
    """A server that did not come up, or has ended."""


class PortInUse(UserError):
    """A port on which somebody else listens."""


class Process:
    """One process, in a session of its own: Ctrl-C reaches us alone, and the order is ours."""

    def __init__(
        self, name: str, command: list[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def require_alive(self) -> None:
        """Raise ServerTrouble, with the last lines of its log, if the process has ended."""
        code = self._process.poll()
        if code is None:
            return
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise ServerTrouble(
            "\n".join(
                [
                    f"{self.name} has ended (exit code {code}); the end of {self.log}:",
                    *(f"  {line}" for line in lines[-LINES_TOLD:]),
                ]
            )
        )

    def wait_for(self, address: str) -> None:
        """Return once the address answers; raise ServerTrouble if it does not."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.require_alive()
            try:
                if requests.get(address, timeout=5).ok:
                    return
            except requests.RequestException:
                pass  # not yet
            time.sleep(0.3)
        raise ServerTrouble(
            f"{self.name} did not answer at {address} within {PATIENCE:.0f} s; look into {self.log}"
        )

    def stop(self) -> None:
        """Ask the process and all it has started to end; make them after a while."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sign)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + GRACE
            while time.monotonic() < deadline and self._somebody_is_left():
                time.sleep(0.1)

    def _somebody_is_left(self) -> bool:
        self._process.poll()  # a child that has ended stays in its group until it is asked for
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def require_free(port: int, option: str) -> None:
    """Raise PortInUse, naming the option that chooses another, if somebody listens on the port."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        raise PortInUse(
            f"{option}: expected a free port, {port} is in use; stop what listens there, or choose "
            f"another with {option}"
        ) from None

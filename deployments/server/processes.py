"""Server processes on loopback that a command starts and stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import requests

from schemas.errors import ExternalServiceError, UserError

HOST = "127.0.0.1"
PATIENCE = 120.0
"""Seconds to wait for a server: its first start on a busy machine takes a minute."""
GRACE = 20.0
"""Seconds from SIGTERM to SIGKILL."""
LOG_LINES_SHOWN = 8


class ServerFailed(ExternalServiceError):
    """A server did not start, or has ended."""


class PortInUse(UserError):
    """The port is in use."""


class Process:
    """A process in its own session, so that Ctrl-C does not reach it before its turn to stop."""

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
        """Raise ServerFailed, with the last lines of its log, if the process has ended."""
        code = self._process.poll()
        if code is None:
            return
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise ServerFailed(
            "\n".join(
                [
                    f"{self.name} has ended (exit code {code}); the end of {self.log}:",
                    *(f"  {line}" for line in lines[-LOG_LINES_SHOWN:]),
                ]
            )
        )

    def wait_for(self, address: str) -> None:
        """Return once the address answers; raise ServerFailed if it does not."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.require_alive()
            try:
                if requests.get(address, timeout=5).ok:
                    return
            except requests.RequestException:
                pass  # not yet
            time.sleep(0.3)
        raise ServerFailed(
            f"{self.name} did not answer at {address} within {PATIENCE:.0f} s; see {self.log}"
        )

    def stop(self) -> None:
        """Terminate the process and its children; kill them after GRACE seconds."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sign)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + GRACE
            while time.monotonic() < deadline and self._group_is_alive():
                time.sleep(0.1)

    def _group_is_alive(self) -> bool:
        self._process.poll()  # reap the child, which stays in its group until then
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def require_free(port: int, option: str) -> None:
    """Raise PortInUse, naming the option for another port, if the port is in use."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        raise PortInUse(
            f"{option}: expected a free port, {port} is in use; stop its process, or choose "
            f"another port"
        ) from None

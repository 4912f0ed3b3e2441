"""The Prefect server of one command, for flows where no server is configured.

Prefect would start one when the first flow begins, after all imports, and import the whole server
into the process of the flow as well. This one is started first, and comes up during the imports.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from deployments.server.preflight import require_prefect
from schemas.errors import ExternalServiceError

HOST = "127.0.0.1"
GRACE = 10.0
"""Seconds from the request to end until it is killed."""
_AN_ERROR = re.compile(r"[\w.]*(Error|Exception): ")
"""The line of a traceback that says what was wrong."""
_PROGRAM = Path(__file__).with_name("prefect_process.py")
_OF_THE_SERVER = {
    # As Prefect starts its own: no pages, and only the services that a flow needs.
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    # Otherwise it imports Dask, for blocks that no flow uses.
    "PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    # Nobody sees its log but the reader of the message that it has ended.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR",
}
_OF_FLOWS = {
    # The terminal shows the log; nobody reads it at a server that ends with the command.
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}


class EmbeddedServerFailed(ExternalServiceError):
    """The server has ended, or does not answer."""


@contextmanager
def embedded_server() -> Iterator[Callable[[], None]]:
    """Run a Prefect server during the block, and yield a function that waits until it answers.

    Flows find it in the environment. A configured server is checked and used instead. Enter before
    Prefect is imported, which takes a second or two: the server starts first.

    Raises PrefectUnavailable; the function raises EmbeddedServerFailed.
    """
    with ExitStack() as stack:
        server = None
        if "prefect" not in sys.modules and not os.environ.get("PREFECT_API_URL"):
            server = stack.enter_context(_running_server())
        require_prefect()
        if is_configured():
            # Where a profile does that, which Prefect alone can read.
            stack.close()
            yield lambda: None
            return
        server = server or stack.enter_context(_running_server())
        with _environment({"PREFECT_API_URL": f"{server.address}/api", **_OF_FLOWS}):
            try:
                yield server.wait
            finally:
                _send_events()


def is_configured() -> bool:
    """Return whether flows have a server: in the environment, a settings file or a profile."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url is not None


@contextmanager
def _running_server() -> Iterator[_Server]:
    with tempfile.TemporaryFile() as log:
        server = _Server(log)
        try:
            yield server
        finally:
            server.stop()


class _Server:
    """The process. It listens before it can answer, so that requests wait and no port is lost."""

    def __init__(self, log: IO[bytes]) -> None:
        self._log = log
        with socket.create_server((HOST, 0)) as listening:
            self.address = f"http://{HOST}:{listening.getsockname()[1]}"
            number = listening.fileno()
            self._process = subprocess.Popen(
                # By its path, and -P: no module of the working folder may take the place of ours.
                [sys.executable, "-P", str(_PROGRAM), str(number)],
                env={**os.environ, **_OF_THE_SERVER},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(number,),
                # Ctrl-C is for the flow, which still reports its end to the server.
                process_group=0,
            )

    def wait(self) -> None:
        """Return once the server answers; raise EmbeddedServerFailed if it has ended."""
        import httpx
        from prefect.settings import get_current_settings

        patience = get_current_settings().server.ephemeral.startup_timeout_seconds
        try:
            with httpx.Client(timeout=patience, trust_env=False) as client:  # no proxy
                client.get(f"{self.address}/api/health").raise_for_status()
        except httpx.HTTPError as error:
            raise EmbeddedServerFailed(self._describe(error, patience)) from None

    def _describe(self, error: Exception, patience: float) -> str:
        try:
            code = self._process.wait(GRACE)  # its end follows that of its connections
        except subprocess.TimeoutExpired:
            return (
                f"Prefect, the embedded server, did not answer within {patience:.0f} s "
                f"({type(error).__name__}); try again when the machine is less busy, or set "
                "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
            )
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        why = [line for line in lines if _AN_ERROR.match(line)] or ["no message"]
        return (
            f"Prefect, the embedded server, has ended (exit code {code}: {why[-1]}); "
            "set PREFECT_HOME to another folder, or PREFECT_API_URL to a server"
        )

    def stop(self) -> None:
        """End the process; kill it after GRACE seconds."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables during the block, and have Prefect read its settings again."""
    from prefect.context import refresh_global_settings_context

    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    refresh_global_settings_context()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        refresh_global_settings_context()


def _send_events() -> None:
    """Send what Prefect's client still has of the states of tasks, before the server ends."""
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=GRACE)

"""Servers that are not what they are taken for: dead, silent, or one answer, whatever is asked."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from deployments.exit_codes import TROUBLE
from tests.faults.catalogue import Area, Left, fault

LOGIN_PAGE = "<!doctype html><html><title>Sign in</title><form>password</form></html>"


class QuietServer(ThreadingHTTPServer):
    """A server of the tests that says nothing of clients that leave before an answer's end.

    What it would say goes to the standard error that it shares with the command under test.
    """

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def answering(status: int, body: str, kind: str = "text/html") -> Iterator[str]:
    """A server that gives this answer to everything; yield its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a line for each request would hide what a failing test says."""

    server = QuietServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """A port where connections are taken and never answered; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def nobody() -> str:
    """The address of a port that is closed."""
    with silent() as address:
        return address


def wrong_answers(variable: str, answers: Iterable[tuple[str, int, str, str]]) -> list[Any]:
    """Parameters `status` and `body`, with their faults, of servers that a variable leads to.

    `answers`: what the server does in words, status, body, and what of it is told.
    """
    return [
        pytest.param(
            status,
            body,
            marks=fault(
                Area.SERVERS,
                f"what listens at {variable} {what}",
                made=f"a server that answers everything with HTTP {status}",
                code=TROUBLE,
                told=(told, variable),
                left=Left.AS_BEFORE,
            ),
            id=str(status),
        )
        for what, status, body, told in answers
    ]

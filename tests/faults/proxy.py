"""A proxy in front of an S3 endpoint that harms its answers as networks and buckets do."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler
from typing import Self
from urllib.parse import urlsplit

from tests.faults.fake_servers import QuietServer

OF_ONE_HOP = ("connection", "transfer-encoding", "keep-alive", "content-length", "date", "server")


@dataclass
class Harm:
    """What is done to the answers whose path holds `path`, `times` times."""

    path: str = ""
    method: str = ""
    times: float = float("inf")
    skip: int = 0
    """Answers that pass first."""
    refuse: tuple[int, str] | None = None
    """Status and S3 error code that are answered instead."""
    silent: bool = False
    """No answer, and the connection is held."""
    reset: bool = False
    cut_after: int | None = None
    """Bytes of the body after which the connection is closed, though more were announced."""
    shorten_by: int | None = None
    """Bytes that the body lacks, and that were not announced."""
    bytes_a_second: int | None = None
    ahead: timedelta | None = None
    """By how much the endpoint's clock is ahead, by its own words of when an object was stored."""
    first: Callable[[], object] | None = None
    """Called before the request is passed on."""

    def applies(self, method: str, path: str) -> bool:
        if self.path not in path or self.method not in ("", method) or self.times <= 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Proxy:
    """Listens on a port of its own; `harms` may be changed at any time."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = urlsplit(endpoint)
        self.harms: list[Harm] = []
        self.seen: list[str] = []
        """Method and path of every request."""
        self.closing = threading.Event()
        self._server = QuietServer(("127.0.0.1", 0), _handler(self))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def listening(self) -> Iterator[Self]:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            proxy.seen.append(f"{self.command} {self.path}")
            harm = next((h for h in proxy.harms if h.applies(self.command, self.path)), Harm())
            if harm.first:
                harm.first()
            if harm.silent:
                proxy.closing.wait()
                self.close_connection = True
            elif harm.reset:
                linger = struct.pack("ii", 1, 0)  # on closing: RST, and nothing that was not sent
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()
            elif harm.refuse:
                status, code = harm.refuse
                message = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>"
                self.send(status, [("Content-Type", "application/xml")], message.encode(), Harm())
            else:
                assert proxy.endpoint.hostname is not None
                onward = http.client.HTTPConnection(proxy.endpoint.hostname, proxy.endpoint.port)
                onward.request(self.command, self.path, body, dict(self.headers))
                answer = onward.getresponse()
                content = answer.read()
                onward.close()
                self.send(answer.status, answer.getheaders(), content, harm)

        do_GET = do_HEAD = do_PUT = do_POST = answer

        def send(self, status: int, headers: list[tuple[str, str]], content: bytes, harm: Harm):
            if harm.shorten_by:
                content = content[: -harm.shorten_by]
            self.send_response(status)
            length = str(len(content))
            for name, value in headers:
                if harm.ahead and name.lower() == "last-modified":
                    value = format_datetime(parsedate_to_datetime(value) + harm.ahead, usegmt=True)
                if self.command == "HEAD" and name.lower() == "content-length":
                    length = value
                if name.lower() not in OF_ONE_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command == "HEAD":
                return
            if harm.cut_after is not None:
                self.wfile.write(content[: harm.cut_after])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif harm.bytes_a_second is not None:
                step = harm.bytes_a_second // 10 or 1
                for start in range(0, len(content), step):
                    self.wfile.write(content[start : start + step])
                    time.sleep(0.1)
            else:
                self.wfile.write(content)

    return Handler

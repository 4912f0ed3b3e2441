"""A headless Chromium over its DevTools protocol: open a page, read, click, take a picture."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import connect
from websockets.sync.connection import Connection

QUIET = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses to start as root with it
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--window-size=2400,1300",
    "--remote-debugging-port=0",
)


class Page:
    """One tab."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = 0
        self._call("Page.enable")

    def open(self, address: str) -> None:
        # A page that differs after the # alone would not be loaded again.
        self._call("Page.navigate", url="about:blank")
        self._call("Page.navigate", url=address)

    def text(self) -> str:
        """All text that can be seen."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def evaluate(self, script: str) -> Any:
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def wait_for(self, *wanted: str, seconds: float = 40) -> str:
        """Return the text of the page once it holds everything wanted; fail if it never does."""
        for part in wanted:
            self.wait_until(f"document.body?.innerText.includes({json.dumps(part)})", seconds)
        return self.text()

    def wait_until(self, condition: str, seconds: float = 40) -> None:
        """Wait for a script to be true; fail if it never is."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                pytest.fail(f"not true of the page after {seconds} s: {condition}\n{self.text()}")
            time.sleep(0.2)

    def click(self, text: str) -> None:
        """Click the innermost element that shows this text and no other."""
        found = (
            "[...document.querySelectorAll('*')]"
            f".filter(element => element.innerText?.trim() === {json.dumps(text)}).at(-1)"
        )
        self.wait_until(f"!!{found}")
        self.evaluate(f"{found}.click()")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        self._connection.send(
            json.dumps({"id": self._last, "method": method, "params": parameters})
        )
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get("id") == self._last:
                assert "error" not in message, message
                return dict(message["result"])


@contextmanager
def chromium() -> Iterator[Page]:
    """Start a browser with a profile of its own; skip where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium: install it (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *QUIET, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = _port(Path(profile) / "DevToolsActivePort", process)
            tabs = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=30).json()
            tab = next(tab for tab in tabs if tab["type"] == "page")
            with connect(tab["webSocketDebuggerUrl"], max_size=None, proxy=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, "chromium did not open its port within 60 s"
        time.sleep(0.1)
    return int(file.read_text().split()[0])

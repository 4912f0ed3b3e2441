"""A terminal for commands under test: what it shows, and its closing.

It controls no session: with the end of one it would throw away what nobody has read yet.
The signals that go with a key or the closing are those of the tests.
"""

from __future__ import annotations

import os
import pty
import re
import time
from collections.abc import Callable
from threading import Thread

from tests.integration.processes import PATIENCE

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A pseudo-terminal, at `path`."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        self.path = os.ttyname(self._slave)
        self._shown = bytearray()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                shown = os.read(self._master, 65536)
            except OSError:  # closed
                return
            self._shown += shown

    def shows(self) -> str:
        """Everything that was ever shown, without colours and moves."""
        return _CONTROL.sub("", self._shown.decode("utf-8", "replace")).replace("\r", "\n")

    def settle(self) -> None:
        """Return once nothing more comes: what a process wrote last may come after its end."""
        size = -1
        while size != len(self._shown):
            size = len(self._shown)
            time.sleep(1.0)

    def close(self) -> None:
        """Close the terminal, as its window: who writes to it is refused from then on."""
        os.close(self._slave)
        os.close(self._master)

    def wait_for(
        self,
        pattern: str,
        seconds: float = PATIENCE,
        while_: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Wait until it shows a match; return whether it does in time, and while this is so."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shows())):
            if not while_() or time.monotonic() > deadline:
                break
            time.sleep(0.05)  # an engine is done within a second
        return found is not None


def take_terminal(path: str) -> None:
    """Have this process read from a terminal and write to it."""
    slave = os.open(path, os.O_RDWR | os.O_NOCTTY)
    for stream in range(3):
        os.dup2(slave, stream)
    os.close(slave)

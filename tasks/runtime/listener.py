"""Who hears log lines, progress and the result of a flow: the terminal. Without Prefect.

The terminal shows progress while Prefect is imported, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from model.fit import FitResults


class Listener(Protocol):
    """Receives log lines, progress, and results."""

    def log_info(self, text: str) -> None:
        """Receive a log line."""

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Receive how much of a stage is done, and the total if known."""

    def result(self, results: FitResults) -> None:
        """Receive the results of a fit, before they are drawn and tracked."""


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Send log lines, progress and results of the block to `listener` too."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def current_listener() -> Listener | None:
    """Return the listener, if any."""
    return _listener.get()


def show_result(results: FitResults) -> None:
    """Send the results of a fit to the listener, if any."""
    if (listener := current_listener()) is not None:
        listener.result(results)

"""Shows progress and log lines of a fit in a notebook, or as bars on a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tasks.runtime.listener import listen

if TYPE_CHECKING:
    from model.fit import FitResults

SECONDS_BETWEEN_UPDATES = 0.5


class NotebookProgress:
    """One text output below the cell: the log lines, then a line per stage.

    `show` receives the text; it may be called from the threads of a sampler.
    """

    def __init__(self, show: Any) -> None:
        self._show = show
        self._lines: list[str] = []
        self._stages: dict[str, str] = {}
        self._lock = threading.Lock()
        self._last_update = 0.0

    def log_info(self, text: str) -> None:
        """Add a line."""
        with self._lock:
            self._lines.append(text)
            self._update()

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Replace the line of a stage, at most twice a second unless it is complete."""
        with self._lock:
            share = f"{done:,} of {total:,} ({100 * done / total:.0f} %)" if total else f"{done:,}"
            self._stages[stage] = f"{stage}: {share}"
            if done == total or time.monotonic() - self._last_update > SECONDS_BETWEEN_UPDATES:
                self._update()

    def result(self, results: FitResults) -> None:
        """Ignore the result: `fit` returns it, and the notebook shows it."""

    def _update(self) -> None:
        self._last_update = time.monotonic()
        self._show("\n".join([*self._lines, *self._stages.values()]))


@contextmanager
def shown_progress() -> Iterator[None]:
    """Show progress of the block: below the cell of a notebook, or on a terminal; else nowhere."""
    if "ipykernel" in sys.modules:
        display: Any = import_module("IPython.display")
        output = display.display({"text/plain": ""}, raw=True, display_id=True)

        def show(text: str) -> None:
            output.update({"text/plain": text}, raw=True)

        with listen(NotebookProgress(show)):
            yield
    elif sys.stderr.isatty():
        from deployments.cli.terminal import progress_bars

        with progress_bars(Console(stderr=True)):
            yield
    else:
        yield

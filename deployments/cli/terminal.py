"""What a command shows while it works: progress bars, log lines, the result of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from schemas.formatting import escape_unprintable
from tasks.runtime.listener import Listener, listen

if TYPE_CHECKING:
    from model.fit import FitResults


class _Bars:
    """One bar per stage; log lines scroll above them."""

    def __init__(self, console: Console, on_result: Callable[[FitResults], None]) -> None:
        self._console = console
        self._on_result = on_result
        self._show_new_bars()

    def log_info(self, text: str) -> None:
        """Print a line above the bars."""
        self._display.console.print(escape(escape_unprintable(text, keep="\n")))

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Move the bar of a stage."""
        if stage not in self._bars:
            self._bars[stage] = self._display.add_task(stage, total=total)
        self._display.update(self._bars[stage], completed=done, total=total)

    def result(self, results: FitResults) -> None:
        """Print a result below the bars so far, and show those of later stages below it."""
        self.stop()
        self._on_result(results)
        self._show_new_bars()

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._display.stop()

    def _show_new_bars(self) -> None:
        self._bars: dict[str, TaskID] = {}
        self._display = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._display.start()


@contextmanager
def progress_bars(
    console: Console, on_result: Callable[[FitResults], None] = lambda results: None
) -> Iterator[Listener]:
    """Show progress and log lines while the block runs; the bars remain visible.

    `on_result` prints the results of a fit as soon as they are known.
    """
    bars = _Bars(console, on_result)
    try:
        with listen(bars):
            yield bars
    finally:
        bars.stop()

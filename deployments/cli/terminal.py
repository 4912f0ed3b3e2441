"""Progress bars for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
from tasks.runtime.progress import listen


class _Bars:
    """One bar per stage; log lines scroll above them."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._bars: dict[str, TaskID] = {}

    def log_info(self, text: str) -> None:
        """Print a line above the bars."""
        self._display.console.print(escape(escape_unprintable(text, keep="\n")))

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Move the bar of a stage."""
        if stage not in self._bars:
            self._bars[stage] = self._display.add_task(stage, total=total)
        self._display.update(self._bars[stage], completed=done, total=total)


@contextmanager
def progress_bars(console: Console) -> Iterator[None]:
    """Show progress and log lines while the block runs; the bars remain visible."""
    with (
        Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as display,
        listen(_Bars(display)),
    ):
        yield

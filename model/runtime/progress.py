"""Progress of long computations."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[int, int], None]
"""Called with the steps done and the total number of steps."""


def no_progress(done: int, total: int) -> None:
    """Ignore progress."""

"""How long computations say how far they are."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Told what is done and what is to do, in steps of the computation."""


def nobody(done: int, total: int) -> None:
    """Tell nobody."""

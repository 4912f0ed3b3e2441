"""Dataset files that name one table, for tests that spoil it, and what spoiling it takes."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from deployments.exit_codes import BAD_INPUT
from tests.faults.catalogue import Area, Left, fault

MEGABYTE = 1 << 20
MOST_MORE = 500 * MEGABYTE
"""Memory that refusing a table may take, however large it claims to be."""

Make = Callable[[Path, bytes], object]
"""Writes a spoilt table to a path, given the sound one."""


def naming(table: str, screen: Path, key: str = "logfc", **entries: object) -> Path:
    """Let the dataset file of the simulated screen name this table; return it."""
    content = yaml.safe_load(screen.read_text(encoding="utf-8")) | {key: table} | entries
    screen.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return screen


def good_table(screen: Path) -> bytes:
    """The long table of the simulated screen."""
    return (screen.parent / "simulated_screen.csv").read_bytes()


def most_memory() -> int:
    """Bytes of memory this process has had, at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def refused(what: str, made: str, *told: str) -> pytest.MarkDecorator:
    return fault(Area.FILES, what, made=made, code=BAD_INPUT, told=told, left=Left.NO_RUN)

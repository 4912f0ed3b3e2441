"""Dataset files that name one table, for tests that spoil it."""

from __future__ import annotations

from pathlib import Path

import yaml


def naming(table: str, screen: Path, key: str = "logfc", **entries: object) -> Path:
    """Let the dataset file of the simulated screen name this table; return it."""
    content = yaml.safe_load(screen.read_text(encoding="utf-8")) | {key: table} | entries
    screen.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return screen


def good_table(screen: Path) -> bytes:
    """The long table of the simulated screen."""
    return (screen.parent / "simulated_screen.csv").read_bytes()

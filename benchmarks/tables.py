"""How a benchmark is asked and tells its result: options, a table, the same table as CSV."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Several = Parameter(consume_multiple=(1, None), negative="", show_default=False)
"""An option that takes several values, separated by blanks."""


def show(rows: pd.DataFrame, title: str, caption: str, out: Path | None) -> None:
    """Print the rows; write them, unrounded, to `out`."""
    table = Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", show_edge=False
    )
    for column in rows.columns:
        is_text = pd.api.types.is_string_dtype(rows[column])
        table.add_column(column, justify="left" if is_text else "right")
    for row in rows.itertuples(index=False):
        table.add_row(*(escape(_shown(value)) for value in row))
    plain_console().print(table)
    if out is not None:
        rows.to_csv(out, index=False)


def machine(load_before: float) -> str:
    """Say on how many cores this ran and what else they had to do; a busy machine misleads."""
    return (
        f"{os.cpu_count()} cores; processes that wanted one, before the first fit: "
        f"{load_before:.1f}, in the last minute: {os.getloadavg()[0]:.1f}."
    )


def plain_console() -> Console:
    """Return a console on stdout; wide enough for the tables where it is not a terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=140)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):  # type: ignore[call-overload]
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}"


def peak_memory() -> float:
    """Return the largest memory of this program (bytes).

    Not `getrusage`: on Linux that begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * float(status.partition("VmHWM:")[2].split()[0])

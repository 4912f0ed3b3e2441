"""The command `screenbayes runs`: lists what is in the store."""

from __future__ import annotations

import math
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.exit_codes import DONE
from deployments.cli.outcome import VERDICT_COLOURS
from schemas.formatting import escape_unprintable

WIDE = 200
"""Columns of the output where it is no terminal, so that each run is on one line."""
HEADINGS = ("run", "dataset", "release", "model", "verdict", "neg", "pos", "started", "kind")


def runs(
    dataset: str = "", *, most: Annotated[int, Parameter(validator=Number(gte=1))] = 30
) -> int:
    """List the runs in MLflow, newest first: fits, comparisons, calibrations.

    The first column is a short id, accepted by show, export, compare and promote. neg and pos are
    the numbers of genes called negative and positive. Times are those of this machine.

    Parameters
    ----------
    dataset
        Name of a dataset; all if not given.
    most
        Number of runs.
    """
    from tasks.tracking.list_runs import list_runs

    found, where = list_runs(dataset, most)
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in HEADINGS:
        table.add_column(
            heading,
            justify="right" if heading in ("neg", "pos") else "left",
            no_wrap=heading in ("run", "verdict", "started"),
            overflow="fold",
        )
    for row in found.to_dict("records"):
        table.add_row(*_cells(row))
    if len(found):
        console.print(table)
    console.print(
        f"{len(found)} run(s) in MLflow at {escape(where)}", soft_wrap=True, highlight=False
    )
    return DONE


def _cells(row: dict[Any, Any]) -> tuple[str, ...]:
    colour = VERDICT_COLOURS.get(row["verdict"], "default")
    shown = {name: escape(escape_unprintable(str(value))) for name, value in row.items()}
    return (
        f"[bold]{shown['run']}[/]",
        *(shown[name] for name in ("dataset", "release", "model")),
        f"[{colour}]{shown['verdict']}[/]",
        *(_count(row[name]) for name in ("n_negative", "n_positive")),
        f"{row['started'].to_pydatetime().astimezone():%Y-%m-%d %H:%M}",
        shown["kind"],
    )


def _count(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:,.0f}"

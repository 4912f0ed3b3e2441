"""Labels in tables that would do something where they are shown: refused before they are written.

Tables and reports are written for others: spreadsheets compute a cell that begins like a formula,
terminals obey control characters. Numbers stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from deployments.exit_codes import BAD_INPUT
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess

LABELS = {
    "a formula": ("=cmd|'/C calc'!A0", "=cmd"),
    "a formula of a sum": ("@SUM(1)", "@SUM(1)"),
    "a formula with a sign": ("+1", "+1"),
    "a negative formula": ("-2+3", "-2+3"),
    "a line break": ("a\nb", r"a\nb"),
    "a carriage return": ("a\rb", r"a\rb"),
    "an escape sequence of terminals": ("\x1b[2Jgene", r"\x1b[2Jgene"),
    "a mark of direction": ("\u202egene", r"\u202egene"),
    "a NUL": ("a\0b", r"a\x00b"),
}


@pytest.mark.parametrize("column", ["gene", "cell_line"])
@pytest.mark.parametrize(
    "label",
    [
        pytest.param(
            label,
            marks=fault(
                Area.EXPORTS,
                f"a gene or cell line whose label is, or has, {what}",
                made="this label in the long table",
                code=BAD_INPUT,
                told=("plain_label", shown, "spreadsheets take these for formulas"),
                left=Left.NO_RUN,
            ),
            id=what,
        )
        for what, (label, shown) in LABELS.items()
    ],
)
def test_a_label_that_would_do_something(
    label: str, column: str, screen: Path, at_once: InThisProcess
) -> None:
    path = screen.parent / "simulated_screen.csv"
    table = pd.read_csv(path)
    first = table[column] == table[column][0]
    table.loc[first, column] = label
    # Parquet takes every label as it is.
    table.to_parquet(path.with_suffix(".parquet"))
    screen.write_text(screen.read_text().replace(path.name, f"{path.stem}.parquet"))
    done = at_once("validate", screen)
    assert "\x1b[2J" not in done.out and "\u202e" not in done.out

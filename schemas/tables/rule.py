"""A validation rule, and its `Finding` when it is broken.

The rules are defined in the other modules of `schemas.tables`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from schemas.reports import Finding, Severity

MOST_SHOWN = 10
"""Largest number of offending values of a matrix, or members of a component, that are listed."""
MOST_KEPT = 50_000
"""Largest number of offending values in a finding: all genes of a genome, all lines of a release.
"""


@dataclass(frozen=True)
class Rule:
    """A requirement of a table; `broken` fills the names in braces of `expected`."""

    name: str
    expected: str
    remedy: str
    severity: Severity = "error"

    def broken(
        self,
        table: str,
        found: Collection[str],
        *,
        column: str = "",
        count: int | None = None,
        **limits: object,
    ) -> Finding:
        """Return the finding; give `count` where `found` does not list all offending values."""
        return Finding(
            table=table,
            rule=self.name,
            severity=self.severity,
            column=column,
            expected=self.expected.format(**limits),
            found=tuple(found)[:MOST_KEPT],
            count=len(found) if count is None else count,
            remedy=self.remedy,
        )


def at_line(line: object, value: object) -> str:
    """Return an offending value with its line, as shown in findings."""
    return f"line {line}: {str(value)!r}"


def beyond(value: float, limit: float) -> str:
    """Return a value as text, with as many digits as it takes to differ from its limit."""
    text = f"{value:g}"
    return text if abs(float(text)) != abs(limit) else f"{value:.15g}"


def first_cells(bad: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield row and column of the first `MOST_SHOWN` true elements of `bad` (rows, columns).

    A table of linear TPM has thirty million wrong values: they are never all listed.
    """
    rows = np.flatnonzero(bad.any(axis=1))[:MOST_SHOWN]
    cells = np.argwhere(bad[rows])[:MOST_SHOWN]
    yield from ((int(rows[row]), int(column)) for row, column in cells)


def share(part: int, whole: int) -> str:
    """Return `part` as a percentage of `whole` values, as text."""
    percent = 100 * part / whole
    digits = 2 if percent < 99.5 else 3  # two digits would print 100 as 1e+02
    return f"{percent:.{digits}g} % of {whole:,} values"

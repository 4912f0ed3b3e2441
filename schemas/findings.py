"""How a broken rule becomes a `Finding`: fixed name, what it asks for, how to mend it.

The rules themselves stand beside what they check: `schemas.tables`, `schemas.rules`,
`schemas.coverage_rules`, `schemas.rna_rules` and `schemas.logfc_rules`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from schemas.reports import Finding, Severity

MOST_SHOWN = 10
"""Cells of a matrix, and members of a part, that are named."""
MOST_KEPT = 50_000
"""Offending values a finding keeps: all genes of a genome, all lines of a release."""


@dataclass(frozen=True)
class Rule:
    """What is asked of a table; `expected` may hold names in braces, filled by `broken`."""

    name: str
    expected: str
    mend: str
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
        """Return the finding; `count` where `found` is not the whole list of offending values."""
        return Finding(
            table=table,
            rule=self.name,
            severity=self.severity,
            column=column,
            expected=self.expected.format(**limits),
            found=tuple(found)[:MOST_KEPT],
            count=len(found) if count is None else count,
            mend=self.mend,
        )


def at_line(line: object, value: object) -> str:
    """Return an offending value with its line, as findings show it."""
    return f"line {line}: {str(value)!r}"


def first_cells(bad: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield row and column of the first true cells of `bad` (rows, columns), as many as are shown.

    A table of linear TPM is wrong in thirty million cells: all their places are never listed.
    """
    rows = np.flatnonzero(bad.any(axis=1))[:MOST_SHOWN]
    cells = np.argwhere(bad[rows])[:MOST_SHOWN]
    yield from ((int(rows[row]), int(column)) for row, column in cells)


def share(part: int, whole: int) -> str:
    """Return which percentage of `whole` values `part` is."""
    percent = 100 * part / whole
    digits = 2 if percent < 99.5 else 3  # two digits of a hundred are 1e+02
    return f"{percent:.{digits}g} % of {whole:,} values"

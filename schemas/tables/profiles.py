"""Rules that tables of RNA and of copy number share, and what their values tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from schemas.formatting import is_plain_label
from schemas.reports import Finding
from schemas.tables.containers import RawProfiles, TableName
from schemas.tables.maps import BLANKS, FLAGS, LABEL, TABLE_EMPTY
from schemas.tables.rule import Rule, beyond, first_cells

DEFAULTS_EXIST = Rule(
    "default_profiles_exist",
    "profiles marked as the default of their cell line",
    "provide the table with its flags; without them no profile is used",
)
ONE_DEFAULT = Rule(
    "one_default_profile",
    "one default profile per cell line",
    "mark one profile of each line as its default",
)
NO_DEFAULT = Rule(
    "no_default_profile",
    "a default profile of each cell line",
    "none needed if intended: these lines are left out",
    "warning",
)

FEWEST_JUDGED = 3
"""Genes and lines below which RNA and copy number cannot be told apart by their values."""
ROWS_JUDGED = 200
"""Rows that are enough to tell them apart."""
LARGEST_USUAL = 8
"""Largest median of absolute copy numbers; counts have larger ones."""


def broken_defaults(table: TableName, profiles: pd.DataFrame) -> Iterator[Finding]:
    """Check for one default profile per line, unless a flag is invalid."""
    if profiles.empty or "cell_line" not in profiles:
        return
    defaults = default_profiles(profiles)
    if defaults.isna().any():
        return
    if not defaults.any():
        yield DEFAULTS_EXIST.broken(table, ("no profile is marked",), column="is_default")
        return
    counts = defaults.groupby(profiles["cell_line"].astype("str").str.strip()).sum()
    wrong = [f"{cell_line}: {count}" for cell_line, count in counts.items() if count > 1]
    if wrong:
        yield ONE_DEFAULT.broken(table, wrong, column="is_default")
    if not counts.all():
        yield NO_DEFAULT.broken(table, list(counts.index[counts == 0]), column="is_default")


def default_profiles(profiles: pd.DataFrame) -> pd.Series:
    """Return which profiles are marked as default, all without flags; missing for invalid ones."""
    if "is_default" not in profiles:
        return pd.Series(True, index=profiles.index)
    return profiles["is_default"].astype("str").str.strip().map(FLAGS).astype("boolean")


def broken_labels(raw: RawProfiles) -> Iterator[Finding]:
    """Check that there are genes, and that their labels are plain and without blanks."""
    table, labels = raw.source.table, raw.values.columns.astype("str")
    if not len(labels):
        yield TABLE_EMPTY.broken(table, ("no column of a gene",), column="gene labels")
        return
    blanks = [repr(label) for label in labels if label != label.strip()]
    if blanks:
        yield BLANKS.broken(table, blanks, column="gene labels")
    formulas = [repr(label) for label in labels.str.strip() if not is_plain_label(label)]
    if formulas:
        yield LABEL.broken(table, formulas, column="gene labels")


def broken_cells(
    rule: Rule, raw: RawProfiles, bad: np.ndarray, *, limit: float = np.nan, **limits: Any
) -> Iterator[Finding]:
    """Yield a finding of the values at which `bad` is true (profiles, genes), if there are any."""
    if count := int(bad.sum()):
        values, lines, genes = raw.values.to_numpy(), raw.profiles.index, raw.values.columns
        found = [
            f"line {lines[row]}, {genes[column]}: {beyond(values[row, column], limit)}"
            for row, column in first_cells(bad)
        ]
        yield rule.broken(raw.source.table, found, count=count, limit=limit, **limits)


def share_near_one(values: np.ndarray) -> float:
    """Return the share of known values within 0.5 of 1; NaN where there are too few to judge.

    Copy numbers relative to the ploidy of the line are near 1, as ratios and as log2(ratio + 1).
    RNA is 0 for silent genes, and differs by several log2 units between others. In random parts of
    the real sample, down to 3 genes in 5 lines, the share is 0.73 to 1 for log2(ratio + 1), 0.53 to
    1 for ratios, and 0 to 0.6 for RNA; over all of it 0.98, 0.93 and 0.10.
    """
    known = _judged(values)
    return float(np.mean(np.abs(known - 1) <= 0.5)) if known.size else np.nan


def are_absolute(values: np.ndarray) -> bool:
    """Whether the values can only be absolute copy numbers: whole numbers, some above 1."""
    known = _judged(values)
    if not known.size or (known != np.round(known)).any():
        return False
    return bool(known.max() > 1 and 1 <= np.median(known) <= LARGEST_USUAL)


def _judged(values: np.ndarray) -> np.ndarray:
    """Return known values of some hundred rows; none where there are too few genes or lines."""
    if min(values.shape) < FEWEST_JUDGED:
        return np.empty(0)
    some = values[:: max(1, len(values) // ROWS_JUDGED)]
    return some[np.isfinite(some)]

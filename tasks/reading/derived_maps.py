"""Maps of guides and replicates that are not tables of their own: derived from a logFC table."""

from __future__ import annotations

import pandas as pd

from schemas.tables.containers import RawTable, TableName, TableSource
from schemas.tables.eligibility import FITTED_SCREEN_TYPE


def part_of(source: TableSource, name: TableName) -> TableSource:
    """Return the source of a table `name` that is derived from another one."""
    return TableSource(name, source.location, source.layout, source.sha256)


def derived_guide_map(source: TableSource, guides: pd.DataFrame) -> RawTable:
    """Return the guide map of a logFC table; `guides` has the columns guide and gene.

    Its guides count as used, with one alignment each.
    """
    return RawTable(part_of(source, "guide_map"), guides.assign(n_alignments="1", used="True"))


def derived_sequence_map(
    source: TableSource,
    sequences: pd.DataFrame,
    library: str,
    conditions: pd.DataFrame | None = None,
) -> RawTable:
    """Return the sequence map of a logFC table; `sequences` has the columns sequence and cell_line.

    Its sequences count as those of a fitted screen with this library that pass quality control.
    `conditions` are those of `RawTable`.
    """
    eligible = sequences.assign(screen_type=FITTED_SCREEN_TYPE, library=library, passes_qc="True")
    return RawTable(part_of(source, "sequence_map"), eligible, conditions)

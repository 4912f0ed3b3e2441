"""Containers of tables: as read (`Raw*`), as validated (`Screen`), and logFC in blocks.

Defines the canonical column names, the same for every layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from schemas.errors import UserError
from schemas.reports import Finding

TableName = Literal[
    "logfc",
    "guide_map",
    "sequence_map",
    "rna",
    "copy_number",
    "model_table",
    "essential",
    "nonessential",
    "expression_addictions",
]
COVARIATE_TABLES: tuple[TableName, ...] = ("copy_number",)
"""Optional tables like RNA, profiles x genes; each has the name of its covariate."""

GUIDE_MAP_COLUMNS = ("guide", "gene", "n_alignments", "used")
SEQUENCE_MAP_COLUMNS = (
    "sequence",
    "cell_line",
    "screen_type",
    "library",
    "pdna_batch",
    "passes_qc",
    "excluded",
)
PROFILE_COLUMNS = ("profile", "cell_line", "is_default")
MODEL_TABLE_COLUMNS = ("cell_line", "lineage", "cell_line_name")


@dataclass(frozen=True)
class TableSource:
    """Location, layout and digest of a table."""

    table: TableName
    location: str
    """Path or s3:// address."""
    layout: str
    """Name of the recognised layout."""
    sha256: str
    """Digest of the content of the file as stored."""


@dataclass(frozen=True)
class RawTable:
    """A small table as in its file: canonical column names, every value text or missing.

    The index of `frame` is the line of each row in the file (the header is line 1). Columns that
    the layout lacks are absent.
    """

    source: TableSource
    frame: pd.DataFrame
    conditions: pd.DataFrame | None = None
    """Of a sequence map: `cell_line`, and columns of origin, time and treatment by their names."""


@dataclass(frozen=True)
class RawProfiles:
    """RNA or another covariate as read."""

    source: TableSource
    profiles: pd.DataFrame
    """One row per profile, PROFILE_COLUMNS, text; the index is the line of the file."""
    values: pd.DataFrame
    """Same rows; columns are gene labels in file order, duplicates kept; float64."""


@dataclass(frozen=True)
class LogfcBlock:
    """Some guides of the logFC table."""

    guides: np.ndarray
    """Guide labels (n_guides,), object dtype, missing as None."""
    values: np.ndarray
    """Log fold changes (n_guides, n_sequences), float64, NaN where missing."""
    first_line: int
    """Line of the first guide in the file."""


class LogfcSource(Protocol):
    """A logFC table that can be read repeatedly, in blocks of guides."""

    @property
    def source(self) -> TableSource:
        """Location, layout and digest of the table."""

    @property
    def sequences(self) -> tuple[str, ...]:
        """Sequence labels, the columns of every block, in file order with duplicates."""

    def blocks(self) -> Iterator[LogfcBlock]:
        """Yield the table from the top; raise TableFormatError where it cannot be read."""


@dataclass(frozen=True)
class RenamedLogfc:
    """A logFC table whose sequences have other labels."""

    table: LogfcSource
    sequences: tuple[str, ...]
    """Sequence labels, as many as those of `table` and in the same order."""

    @property
    def source(self) -> TableSource:
        """Location, layout and digest of the table."""
        return self.table.source

    def blocks(self) -> Iterator[LogfcBlock]:
        """Yield the table from the top; raise TableFormatError where it cannot be read."""
        return self.table.blocks()


class TableFormatError(UserError):
    """A table that cannot be read: table, location, what was expected and found, remedy."""

    def __init__(
        self, table: TableName, location: str, rule: str, message: str, remedy: str
    ) -> None:
        super().__init__(f"{table} ({location}): {message}; {remedy}")
        self.table: TableName = table
        self.location = location
        self.rule = rule
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True)
class RawScreen:
    """All tables of a dataset as read; an unreadable one is None, its error in `unreadable`."""

    logfc: LogfcSource | None
    guide_map: RawTable | None
    sequence_map: RawTable | None
    rna: RawProfiles | None
    covariates: Mapping[TableName, RawProfiles] = field(default_factory=dict)
    """Of COVARIATE_TABLES those that are given and readable."""
    model_table: RawTable | None = None
    essential: RawTable | None = None
    nonessential: RawTable | None = None
    expression_addictions: RawTable | None = None
    unreadable: tuple[TableFormatError, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What was taken for granted while a table was read."""
    ambiguous_genes: tuple[str, ...] = ()
    """Symbols of the guide map that fit several genes of RNA or copy number, or one twice."""


@dataclass(frozen=True)
class CovariateTable:
    """A table of COVARIATE_TABLES after validation."""

    profiles: pd.DataFrame
    """PROFILE_COLUMNS; is_default bool."""
    values: pd.DataFrame
    """Same rows as `profiles`, columns = labels, float64, as given."""

    def renumbered(self) -> CovariateTable:
        """Return the table with a plain range as the index of both parts."""
        return CovariateTable(
            self.profiles.reset_index(drop=True), self.values.reset_index(drop=True)
        )


@dataclass(frozen=True)
class Screen:
    """The small tables after validation: typed (bool, int, str), index a plain range."""

    guide_map: pd.DataFrame
    """GUIDE_MAP_COLUMNS; n_alignments Int64, used bool."""
    sequence_map: pd.DataFrame
    """SEQUENCE_MAP_COLUMNS; passes_qc and excluded bool."""
    profiles: pd.DataFrame
    """PROFILE_COLUMNS; is_default bool."""
    rna: pd.DataFrame
    """Same rows as `profiles`, columns = gene labels, float64."""
    covariates: Mapping[str, CovariateTable] = field(default_factory=dict)
    """Of COVARIATE_TABLES those that are given."""
    model_table: pd.DataFrame | None = None
    """MODEL_TABLE_COLUMNS, or None."""
    ambiguous_genes: tuple[str, ...] = ()
    """Symbols that fit several genes of RNA or copy number, or one twice; they are excluded."""
    essential: tuple[str, ...] = ()
    nonessential: tuple[str, ...] = ()
    expression_addictions: tuple[str, ...] = ()

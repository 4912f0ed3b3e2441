"""The wide logFC table, guides x sequences, as a `LogfcSource`.

A full release has 1.6e8 values, so it is read in blocks of guides.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from schemas.tables.containers import LogfcBlock, TableSource
from schemas.tables.layouts import Layout
from tasks.reading.table_rows import TableFile


class WideLogfc:
    """A logFC table with one row per guide and one column per sequence."""

    def __init__(self, file: TableFile, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self.sequences = file.columns[1:]
        """Sequence labels, the columns of every block, in file order, with duplicates."""

    @cached_property
    def source(self) -> TableSource:
        """Location and digest of the table; after reading, the digest needs no further pass."""
        return self._file.source(self._layout.name)

    def blocks(self) -> Iterator[LogfcBlock]:
        """Yield the table in blocks of guides, in file order; raise TableFormatError."""
        for rows in self._file.rows([0], range(1, len(self._file.columns))):
            yield LogfcBlock(rows.texts[0], rows.numbers, rows.first_line)

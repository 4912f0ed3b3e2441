"""The wide logFC table, guides x sequences, as a `LogfcSource`.

A full release has 1.6e8 values: it is only ever held in blocks of guides. Long tables are in
`tasks.read_long`, formats of files in `tasks.table_files`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from schemas.layouts import Layout
from schemas.screen import LogfcBlock, TableSource
from tasks.table_rows import TableFile


class WideLogfc:
    """A logFC table with a row a guide and a column a sequence."""

    def __init__(self, file: TableFile, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self.sequences = file.columns[1:]
        """Sequence labels, the columns of every block, in file order, duplicates kept."""

    @cached_property
    def source(self) -> TableSource:
        """Where the table is; asked for after reading, its digest costs no further pass."""
        return self._file.source(self._layout.name)

    def blocks(self) -> Iterator[LogfcBlock]:
        """Yield the table from the top; raise TableFormatError where it cannot be read on."""
        for rows in self._file.rows([0], range(1, len(self._file.columns))):
            yield LogfcBlock(rows.texts[0], rows.numbers, rows.first_line)

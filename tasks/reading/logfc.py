"""The wide logFC table, guides x sequences, as a `LogfcSource`.

A full release has 1.6e8 values, so it is read in blocks of guides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import pandas as pd

from schemas.tables.containers import LogfcBlock, RawTable, TableSource
from schemas.tables.layouts import Layout
from tasks.reading.derived_maps import derived_guide_map, derived_sequence_map
from tasks.reading.table_rows import TableFile


class WideLogfc:
    """A logFC table with one row per guide and one column per sequence."""

    def __init__(self, file: TableFile, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self._at = {layout.canonical.get(name): i for i, name in enumerate(file.columns)}
        self._at.setdefault("guide", self._at.get("gene", 0))  # a table of genes has no guides
        self._values = [i for i, name in enumerate(file.columns) if name not in layout.canonical]
        self.sequences = tuple(file.columns[i] for i in self._values)
        """Sequence labels, the columns of every block, in file order, with duplicates."""

    @cached_property
    def source(self) -> TableSource:
        """Location and digest of the table; after reading, the digest needs no further pass."""
        return self._file.source(self._layout.name)

    def blocks(self) -> Iterator[LogfcBlock]:
        """Yield the table in blocks of guides, in file order; raise TableFormatError."""
        for rows in self._file.rows([self._at["guide"]], self._values):
            yield LogfcBlock(rows.texts[0], rows.numbers, rows.first_line)

    def guide_map(self) -> RawTable | None:
        """Return the guide map of a table with a column of genes; raise TableFormatError."""
        if "gene" not in self._at:
            return None
        # With a column of numbers the table is read in blocks.
        at = list(dict.fromkeys((self._at["guide"], self._at["gene"])))  # one, of a table of genes
        labels, _, lines = self._file.read(at, self._values[:1])
        frame = pd.DataFrame({"guide": labels[0], "gene": labels[-1]}, lines, dtype="str")
        return derived_guide_map(self.source, frame)

    def sequence_map(self, cell_lines: Sequence[str], library: str) -> RawTable:
        """Return the sequence map of columns that are replicates of these cell lines, in order."""
        frame = pd.DataFrame({"sequence": self.sequences, "cell_line": cell_lines}, dtype="str")
        return derived_sequence_map(self.source, frame.drop_duplicates("sequence"), library)

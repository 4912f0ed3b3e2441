"""A table of gene effects, cell lines or screens x genes, as a `LogfcSource` of one guide per gene.

It is read whole: a release has 18,000 genes in 1,200 lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from schemas.tables.containers import LogfcBlock, RawTable, TableSource
from schemas.tables.layouts import Layout
from schemas.tables.maps import FLAGS
from schemas.tables.recognition import most_match
from tasks.reading.derived_maps import derived_guide_map, derived_sequence_map
from tasks.reading.table_rows import TableFile

GENES_PER_BLOCK = 1000
_SCREEN = r"SC-\d{6}\S*"


@dataclass(frozen=True)
class GeneEffects:
    """Gene effects; the guides of its blocks are the genes themselves."""

    source: TableSource
    sequences: tuple[str, ...]
    """Labels of the rows of the table: cell lines, or screens."""
    genes: tuple[str, ...]
    values: np.ndarray
    """Gene effects (n_sequences, n_genes), float64, NaN where missing."""

    @property
    def of_screens(self) -> bool:
        """Whether most rows are screens, whose cell lines a sequence map has."""
        return most_match(_SCREEN, self.sequences)

    def blocks(self) -> Iterator[LogfcBlock]:
        """Yield the genes in blocks; the line of a gene is the number of its column."""
        for start in range(0, len(self.genes), GENES_PER_BLOCK):
            part = slice(start, start + GENES_PER_BLOCK)
            genes = np.array(self.genes[part], dtype=object)
            yield LogfcBlock(genes, self.values[:, part].T, start + 2)

    def guide_map(self) -> RawTable:
        """Return the guide map, in which each gene is its own guide."""
        frame = pd.DataFrame({"guide": self.genes, "gene": self.genes}, dtype="str")
        frame.index += 2
        return derived_guide_map(self.source, frame.drop_duplicates("guide"))

    def sequence_map(self, library: str) -> RawTable:
        """Return the sequence map of a table of cell lines."""
        frame = pd.DataFrame({"sequence": self.sequences, "cell_line": self.sequences}, dtype="str")
        return derived_sequence_map(self.source, frame.drop_duplicates("sequence"), library)


def read_gene_effects(file: TableFile, layout: Layout) -> GeneEffects:
    """Read a whole table of gene effects.

    Raises:
        TableFormatError: `missing_label`, `not_a_number`, or `gene_matrix` where no value is below
            0, as in tables of RNA and of probabilities of dependency.
    """
    (labels,), values, lines = file.read([0], range(1, len(file.columns)))
    if (missing := lines[pd.isna(labels)]).size:
        raise file.error(
            "missing_label",
            f"expected a cell line or screen in every row, got none on line {missing[0]}",
            "fill it in, or delete the row",
        )
    if values.size and not (values < 0).any():
        raise file.error(
            "gene_matrix",
            "expected log fold changes, or gene effects of cell lines x genes, some of them below "
            f"0, got genes as columns and {np.nanmin(values):g} as the smallest value: RNA, copy "
            "number or probabilities",
            "name gene effects, such as CRISPRGeneEffect, or a table of guides, such as "
            "AvanaLogfoldChange, with its guide map and sequence map",
        )
    return GeneEffects(file.source(layout.name), tuple(labels), file.columns[1:], values)


def one_row_per_screen(sequence_map: RawTable) -> RawTable:
    """Return a sequence map with screens as sequences, each with its best replicate's flags."""
    frame = sequence_map.frame
    if "screen" not in frame:
        return sequence_map
    good = pd.Series(True, frame.index)
    for column, wanted in (("passes_qc", True), ("excluded", False)):
        if column in frame:
            good &= frame[column].str.strip().map(FLAGS).eq(wanted) | (
                frame[column].isna() & (column == "excluded")
            )
    best = frame.loc[good.sort_values(ascending=False, kind="stable").index]
    best = best.dropna(subset="screen").drop_duplicates("screen").sort_index()
    best = best.assign(sequence=best["screen"])
    return RawTable(sequence_map.source, best)

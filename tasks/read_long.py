"""Long tables, one row a measurement, turned into the pieces the other layouts have as tables.

Each piece keeps, as its index, the line on which its label first stands. What the columns are
called is in `schemas.layouts`; the wide table is in `tasks.read_logfc`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from schemas.layouts import Layout
from schemas.screen import LogfcBlock, RawRna, RawTable, TableName, TableSource
from schemas.usable import FITTED_SCREEN_TYPE
from tasks.table_rows import TableFile

NUMBERS = ("logfc", "rna")


@dataclass(frozen=True)
class LongLogfc:
    """Measurements of a long table, by guide (a block each: their lines lie apart)."""

    source: TableSource
    sequences: tuple[str, ...]
    """Sequence labels, the columns of every block, in order of appearance."""
    measurements: pd.DataFrame
    """Columns guide, sequence, logfc; index = line of the file; sorted by guide, stably."""

    def blocks(self) -> Iterator[LogfcBlock]:
        """Yield one guide a block; a sequence without a row for the guide is missing."""
        columns = pd.Index(self.sequences).get_indexer(pd.Index(self.measurements["sequence"]))
        logfc = self.measurements["logfc"].to_numpy()
        lines = self.measurements.index
        for guide, rows in self.measurements.groupby("guide", sort=False).indices.items():
            values = np.full((1, len(self.sequences)), np.nan)
            values[0, columns[rows]] = logfc[rows]
            yield LogfcBlock(np.array([guide], dtype=object), values, int(lines[rows[0]]))


@dataclass(frozen=True)
class LongScreen:
    """Everything a long table says; `rna` is None where it has no such column."""

    logfc: LongLogfc
    guide_map: RawTable
    sequence_map: RawTable
    rna: RawRna | None


def read_long(file: TableFile, layout: Layout, library: str, *, with_rna: bool) -> LongScreen:
    """Read a long table whole; `with_rna`: take RNA from it, where it has it.

    Raises:
        TableFormatError: `missing_label`, `not_a_number`, `duplicate_measurement` or
            `rna_not_constant`.
    """
    table = _labelled(_read_frame(file, layout))
    _check_labels(file, table)
    _check_unique(file, table)
    source = file.source(layout.name)

    def as_raw(name: TableName, frame: pd.DataFrame) -> RawTable:
        return RawTable(_part(source, name), frame)

    measurements = table[["guide", "sequence", "logfc"]].sort_values("guide", kind="stable")
    guides = table.drop_duplicates(["guide", "gene"])[["guide", "gene"]]
    sequences = table.drop_duplicates(["sequence", "cell_line"])[["sequence", "cell_line"]]
    return LongScreen(
        logfc=LongLogfc(source, tuple(table["sequence"].unique()), measurements),
        guide_map=as_raw("guide_map", guides.assign(n_alignments="1", used="True")),
        sequence_map=as_raw(
            "sequence_map",
            sequences.assign(screen_type=FITTED_SCREEN_TYPE, library=library, passes_qc="True"),
        ),
        rna=_read_rna(file, source, table) if with_rna and "rna" in table else None,
    )


def _read_frame(file: TableFile, layout: Layout) -> pd.DataFrame:
    positions = {
        canonical: file.columns.index(column)
        for column, canonical in layout.canonical.items()
        if column in file.columns
    }
    texts = [name for name in positions if name not in NUMBERS]
    numbers = [name for name in positions if name in NUMBERS]
    labels, values, lines = file.read(
        [positions[name] for name in texts], [positions[name] for name in numbers]
    )
    table = pd.DataFrame(dict(zip(texts, labels, strict=True)), index=lines, dtype="str")
    return table.join(pd.DataFrame(values, lines, numbers))


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Give guides and sequences labels of their own, where they are numbered within another."""
    if "guide_of_gene" in table:
        table["guide"] = table["gene"] + "/" + table.pop("guide_of_gene")
    if "replicate" in table:
        table["sequence"] = table["cell_line"] + "/" + table.pop("replicate")
    elif "sequence" not in table:
        table["sequence"] = table["cell_line"]
    return table


def _check_labels(file: TableFile, table: pd.DataFrame) -> None:
    for column in ("gene", "cell_line", "guide", "sequence"):
        missing = table.index[table[column].isna()]
        if len(missing):
            raise file.error(
                "missing_label",
                f"expected a {column.replace('_', ' ')} in every row, there is none on line "
                f"{missing[0]} ({len(missing)} such rows)",
                "fill it in, or delete these rows",
            )


def _check_unique(file: TableFile, table: pd.DataFrame) -> None:
    key = ["gene", "cell_line", "guide", "sequence"]
    again = table.duplicated(key)
    if again.any():
        line = table.index[again][0]
        which = table.loc[line, key]
        first = table.index[(table[key] == which).all(axis=1)][0]
        raise file.error(
            "duplicate_measurement",
            "expected one row for each gene, cell line, guide and replicate, got "
            f"{', '.join(which)} on lines {first} and {line} ({again.sum()} such rows)",
            "delete the wrong row, or number the replicates in a column `replicate`",
        )


def _read_rna(file: TableFile, source: TableSource, table: pd.DataFrame) -> RawRna:
    known = table.dropna(subset="rna")
    cells = known.groupby(["cell_line", "gene"], sort=False)["rna"]
    varies = known["rna"] != cells.transform("first")
    if varies.any():
        line = known.index[varies][0]
        cell_line, gene, rna = known.loc[line, ["cell_line", "gene", "rna"]]
        first = cells.get_group((cell_line, gene))
        raise file.error(
            "rna_not_constant",
            f"expected one RNA value for gene {gene} in cell line {cell_line}, got "
            f"{first.iloc[0]:g} on line {first.index[0]} and {rna:g} on line {line} "
            f"({varies.sum()} such rows)",
            "give each gene one RNA value a cell line",
        )
    lines = table.drop_duplicates("cell_line")["cell_line"]
    values = cells.first().unstack("gene").reindex(lines, columns=table["gene"].unique())
    profiles = pd.DataFrame({"profile": lines, "cell_line": lines, "is_default": "Yes"})
    return RawRna(_part(source, "rna"), profiles, values.set_axis(lines.index))


def _part(source: TableSource, name: TableName) -> TableSource:
    return TableSource(name, source.location, source.layout, source.sha256)

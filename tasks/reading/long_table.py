"""Splits a long table, one row per measurement, into the tables of the other layouts.

The index of each table is the line of the first occurrence of its label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from schemas.reports import Finding
from schemas.tables.containers import (
    LogfcBlock,
    RawProfiles,
    RawTable,
    TableFormatError,
    TableSource,
)
from schemas.tables.labels import REPLICATES_NUMBERED, condition_columns
from schemas.tables.layouts import Layout
from tasks.reading.derived_maps import derived_guide_map, derived_sequence_map, part_of
from tasks.reading.table_rows import TableFile

NUMBERS = ("logfc", "rna")
LABELS = ["gene", "cell_line", "guide", "sequence"]
"""Columns that tell the rows apart."""
LEAST_SHARED = 0.5
"""Share of replicates in several cell lines from which they are numbered within each line."""
ROUNDING = 1e-4
"""Difference of RNA values of a gene-line pair, log2 or SDs, that is due to rounding."""


@dataclass(frozen=True)
class LongLogfc:
    """Measurements of a long table, one block per guide."""

    source: TableSource
    sequences: tuple[str, ...]
    """Sequence labels, the columns of every block, in order of appearance."""
    measurements: pd.DataFrame
    """Columns guide, sequence, logfc; index: line of the file; stably sorted by guide."""

    def blocks(self) -> Iterator[LogfcBlock]:
        """Yield one block per guide, NaN for sequences without a row of the guide."""
        columns = pd.Index(self.sequences).get_indexer(pd.Index(self.measurements["sequence"]))
        logfc = self.measurements["logfc"].to_numpy()
        lines = self.measurements.index
        for guide, rows in self.measurements.groupby("guide", sort=False).indices.items():
            values = np.full((1, len(self.sequences)), np.nan)
            values[0, columns[rows]] = logfc[rows]
            yield LogfcBlock(np.array([guide], dtype=object), values, int(lines[rows[0]]))


@dataclass(frozen=True)
class LongScreen:
    """The tables of a long table; `rna` is None if it has no such column."""

    logfc: LongLogfc
    guide_map: RawTable
    sequence_map: RawTable
    rna: RawProfiles | None
    findings: tuple[Finding, ...] = ()
    errors: tuple[TableFormatError, ...] = ()
    """`missing_label`, `duplicate_measurement` and `rna_not_constant`; these rows are left out, so
    that the other rules can be checked too."""


def read_long(file: TableFile, layout: Layout, library: str, *, with_rna: bool) -> LongScreen:
    """Read a whole long table, including RNA if it has some and `with_rna`.

    Raises TableFormatError: `not_a_number`.
    """
    table, conditions = _read_frame(file, layout, with_rna=with_rna)
    table, findings = _labelled(table, conditions)
    errors = [*_missing_labels(file, table, LABELS)]
    table = table.dropna(subset=LABELS)
    errors += _repeated_measurements(file, table, conditions)
    table = table.drop_duplicates(LABELS)
    if "rna" in table:
        errors += _unequal_rna(file, table)
    source = file.source(layout.name)
    measurements = table[["guide", "sequence", "logfc"]].sort_values("guide", kind="stable")
    guides = table.drop_duplicates(["guide", "gene"])[["guide", "gene"]]
    sequences = table.drop_duplicates(["sequence", "cell_line"])[["sequence", "cell_line"]]
    of_sequences = table[["sequence", "cell_line"]].join(conditions).drop_duplicates()
    further = None if conditions.empty else of_sequences.drop(columns="sequence")
    return LongScreen(
        logfc=LongLogfc(source, tuple(table["sequence"].unique()), measurements),
        guide_map=derived_guide_map(source, guides),
        sequence_map=derived_sequence_map(source, sequences, library, further),
        rna=_read_rna(source, table) if "rna" in table else None,
        findings=findings,
        errors=tuple(errors),
    )


def read_long_profiles(file: TableFile, layout: Layout) -> RawProfiles:
    """Read RNA or copy number of a table with one row per gene and cell line.

    Raises:
        TableFormatError: `missing_label`, `not_a_number` or `duplicate_measurement`.
    """
    at = {name: file.columns.index(column) for column, name in layout.canonical.items()}
    labels, values, lines = file.read([at["cell_line"], at["gene"]], [at["value"]])
    table = pd.DataFrame(
        {"cell_line": labels[0], "gene": labels[1], "value": values[:, 0]}, index=lines
    )
    for error in _missing_labels(file, table, ["gene", "cell_line"]):
        raise error
    again = table.duplicated(["gene", "cell_line"])
    if again.any():
        line = table.index[again][0]
        raise file.error(
            "duplicate_measurement",
            "expected one row for each gene and cell line, got again "
            f"{', '.join(table.loc[line, ['gene', 'cell_line']])} on line {line} "
            f"({again.sum()} such rows)",
            "delete the wrong rows",
        )
    row, cell_lines = pd.factorize(table["cell_line"])
    column, genes = pd.factorize(table["gene"])
    matrix = np.full((len(cell_lines), len(genes)), np.nan)
    matrix[row, column] = table["value"]
    first = table.index[~table["cell_line"].duplicated()]
    profiles = pd.DataFrame(
        {"profile": cell_lines, "cell_line": cell_lines, "is_default": "Yes"}, index=first
    )
    return RawProfiles(file.source(layout.name), profiles, pd.DataFrame(matrix, first, genes))


def _read_frame(
    file: TableFile, layout: Layout, *, with_rna: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the columns of the layout, and those of origin, time and treatment."""
    positions = {
        canonical: file.columns.index(column)
        for column, canonical in layout.canonical.items()
        if column in file.columns and (with_rna or canonical != "rna")
    }
    texts = [name for name in positions if name not in NUMBERS]
    numbers = [name for name in positions if name in NUMBERS]
    further = condition_columns(file.columns, layout)
    labels, values, lines = file.read(
        [*(positions[name] for name in texts), *map(file.columns.index, further)],
        [positions[name] for name in numbers],
    )
    of_layout, others = labels[: len(texts)], labels[len(texts) :]
    table = pd.DataFrame(dict(zip(texts, of_layout, strict=True)), index=lines, dtype="str")
    conditions = pd.DataFrame(dict(zip(further, others, strict=True)), index=lines, dtype="str")
    return table.join(pd.DataFrame(values, lines, numbers)), conditions


def _labelled(
    table: pd.DataFrame, conditions: pd.DataFrame
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Make unique labels of guides numbered by gene and of replicates numbered by cell line.

    Without a column of replicates, rows are numbered where most guides have several in a line: a
    few repeated rows are errors, and so are those of several screens or conditions.
    """
    findings: tuple[Finding, ...] = ()
    if "guide" not in table and "guide_of_gene" not in table:
        table["guide"] = table["gene"]
    elif "guide_of_gene" in table or _is_numbered(table, "guide", "gene"):
        guide = table.pop("guide" if "guide" in table else "guide_of_gene")
        table["guide"] = table["gene"] + "/" + guide
    if "replicate" in table:
        table["sequence"] = table["cell_line"] + "/" + table.pop("replicate")
    elif "sequence" not in table:
        number = table.groupby(["gene", "cell_line", "guide"], dropna=False).cumcount() + 1
        n_pairs, n_repeated = (number == 1).sum(), (number == 2).sum()
        table["sequence"] = table["cell_line"]
        if n_repeated >= max(1, LEAST_SHARED * n_pairs) and not (conditions.nunique() > 1).any():
            table["sequence"] += "/" + number.astype("str")
            found = (f"{len(table):,} rows of {n_pairs:,} guides in a line",)
            findings = (REPLICATES_NUMBERED.broken("logfc", found, column="replicate"),)
    elif _is_numbered(table, "sequence", "cell_line"):
        table["sequence"] = table["cell_line"] + "/" + table["sequence"]
    return table, findings


def _is_numbered(table: pd.DataFrame, label: str, within: str) -> bool:
    """Whether most labels are repeated in several genes or lines, being numbers within each."""
    return bool((table.groupby(label)[within].nunique() > 1).mean() >= LEAST_SHARED)


def _missing_labels(
    file: TableFile, table: pd.DataFrame, columns: Sequence[str]
) -> Iterator[TableFormatError]:
    reported = pd.Series(False, table.index)  # a sequence is named after its line
    for column in columns:
        missing = table.index[table[column].isna() & ~reported]
        reported |= table[column].isna()
        if len(missing):
            yield file.error(
                "missing_label",
                f"expected a {column.replace('_', ' ')} in every row, got none on line "
                f"{missing[0]} ({len(missing)} such rows)",
                "fill it in, or delete these rows",
            )


def _repeated_measurements(
    file: TableFile, table: pd.DataFrame, conditions: pd.DataFrame
) -> Iterator[TableFormatError]:
    again = table.duplicated(LABELS)
    if again.any():
        line = table.index[again][0]
        which = table.loc[line, LABELS]
        first = table.index[(table[LABELS] == which).all(axis=1)][0]
        differs = conditions.loc[[first, line]].nunique(dropna=False) > 1
        differing = list(conditions.columns[differs])
        yield file.error(
            "duplicate_measurement",
            "expected one row for each gene, cell line, guide and replicate, got "
            f"{', '.join(which)} on lines {first} and {line} ({again.sum()} such rows)",
            f"keep one value of the column `{differing[0]}`, in which these rows differ"
            if differing
            else "delete the wrong row, or number the replicates in a column `replicate`",
        )


def _unequal_rna(file: TableFile, table: pd.DataFrame) -> Iterator[TableFormatError]:
    known = table.dropna(subset="rna")
    cells = known.groupby(["cell_line", "gene"], sort=False)["rna"]
    varies = (known["rna"] - cells.transform("first")).abs() > ROUNDING
    if varies.any():
        line = known.index[varies][0]
        cell_line, gene, rna = known.loc[line, ["cell_line", "gene", "rna"]]
        first = cells.get_group((cell_line, gene))
        yield file.error(
            "rna_not_constant",
            f"expected one RNA value for gene {gene} in cell line {cell_line}, got "
            f"{first.iloc[0]:.10g} on line {first.index[0]} and {rna:.10g} on line {line} "
            f"({varies.sum()} such rows)",
            "give each gene one RNA value per cell line",
        )


def _read_rna(source: TableSource, table: pd.DataFrame) -> RawProfiles:
    cells = table.dropna(subset="rna").groupby(["cell_line", "gene"], sort=False)["rna"]
    lines = table.drop_duplicates("cell_line")["cell_line"]
    values = cells.first().unstack("gene").reindex(lines, columns=table["gene"].unique())
    profiles = pd.DataFrame({"profile": lines, "cell_line": lines, "is_default": "Yes"})
    return RawProfiles(part_of(source, "rna"), profiles, values.set_axis(lines.index))

"""Reads all tables of a dataset, unchecked, under canonical column names.

Errors of all tables are collected and reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from schemas.dataset import Dataset
from schemas.reports import Finding
from schemas.tables.containers import (
    COVARIATE_TABLES,
    RawProfiles,
    RawScreen,
    RawTable,
    TableFormatError,
    TableName,
)
from schemas.tables.labels import condition_columns
from schemas.tables.layouts import GENE_EFFECTS, is_gene_level, is_own
from schemas.tables.logfc_values import GENE_LEVEL
from schemas.tables.matching import match_replicates, with_own_labels
from schemas.tables.recognition import recognise
from tasks.reading.gene_effects import GeneEffects, one_row_per_screen, read_gene_effects
from tasks.reading.logfc import WideLogfc
from tasks.reading.long_table import LongScreen, read_long, read_long_profiles
from tasks.reading.table_file import open_table


def read_screen(dataset: Dataset) -> RawScreen:
    """Read the small tables and the header of a wide logFC table, or a whole long one.

    Errors in tables are returned as `unreadable`. Raises StorageError.
    """
    unreadable: list[TableFormatError] = []

    def attempt[T](read: Callable[[], T]) -> T | None:
        try:
            return read()
        except TableFormatError as error:
            unreadable.append(error)
            return None

    def small_table(table: TableName, location: str | None) -> RawTable | None:
        return None if location is None else attempt(lambda: read_small_table(table, location))

    def profiles(table: TableName, location: str | None) -> RawProfiles | None:
        return None if location is None else attempt(lambda: read_profiles(table, location))

    opened = attempt(lambda: open_logfc(dataset))
    guide_map = small_table("guide_map", dataset.guide_map)
    sequence_map = small_table("sequence_map", dataset.sequence_map)
    rna = profiles("rna", dataset.rna)
    logfc = opened.logfc if isinstance(opened, LongScreen) else opened
    findings: tuple[Finding, ...] = ()
    if isinstance(opened, LongScreen):
        guide_map = guide_map if dataset.guide_map else opened.guide_map
        sequence_map = sequence_map if dataset.sequence_map else opened.sequence_map
        rna = rna if dataset.rna else opened.rna
        findings = opened.findings
        unreadable += opened.errors
    elif isinstance(opened, GeneEffects):  # maps of guides and replicates do not apply
        guide_map = opened.guide_map()
        if not opened.of_screens:
            sequence_map = opened.sequence_map(dataset.library)
        elif sequence_map is not None:
            sequence_map = one_row_per_screen(sequence_map)
    elif isinstance(opened, WideLogfc):
        guide_map = guide_map if dataset.guide_map else attempt(opened.guide_map)
        if guide_map and is_own(guide_map.source.layout) and not dataset.sequence_map:
            known = set() if rna is None else set(rna.profiles["cell_line"].dropna())
            cell_lines, findings = match_replicates(opened.sequences, known)
            if known and known.isdisjoint(cell_lines):
                unreadable.append(_unlike_lines(dataset, opened.sequences, sorted(known)))
            else:
                sequence_map = opened.sequence_map(cell_lines, dataset.library)
    wanted: dict[TableName, object] = {
        "guide_map": guide_map or dataset.guide_map,
        "sequence_map": sequence_map or dataset.sequence_map,
        "rna": rna or dataset.rna,
    }
    if opened is not None:
        named = {error.table for error in unreadable}
        of_screens = isinstance(opened, GeneEffects) and opened.of_screens
        unreadable += [
            _not_named(table, dataset, of_screens=of_screens)
            for table, given in wanted.items()
            if not given and table not in named
        ]
    if guide_map is not None and is_gene_level(guide_map.source.layout):
        what = f"{len(guide_map.frame):,} genes without guides"
        findings = (*findings, GENE_LEVEL.broken("logfc", (what,)))
    raw = RawScreen(
        logfc=logfc,
        guide_map=guide_map,
        sequence_map=sequence_map,
        rna=rna,
        covariates={
            name: table
            for name in COVARIATE_TABLES
            if (table := profiles(name, getattr(dataset, name))) is not None
        },
        model_table=small_table("model_table", dataset.model_table),
        essential=small_table("essential", dataset.controls.essential),
        nonessential=small_table("nonessential", dataset.controls.nonessential),
        expression_addictions=small_table(
            "expression_addictions", dataset.controls.expression_addictions
        ),
        unreadable=tuple(unreadable),
        findings=findings,
    )
    return with_own_labels(raw)


def open_logfc(dataset: Dataset) -> WideLogfc | GeneEffects | LongScreen:
    """Open a wide logFC table, or read a long one; raise TableFormatError or StorageError."""
    assert dataset.logfc is not None
    file = open_table("logfc", dataset.logfc)
    layout = recognise("logfc", dataset.logfc, file.columns, dataset.columns.named)
    if layout.name == GENE_EFFECTS:
        return read_gene_effects(file, layout)
    if layout.matrix_of:
        return WideLogfc(file, layout)
    return read_long(file, layout, dataset.library, with_rna=dataset.rna is None)


def read_small_table(table: TableName, location: str) -> RawTable:
    """Read the columns of the layout as text; raise TableFormatError or StorageError."""
    file = open_table(table, location)
    layout = recognise(table, location, file.columns)
    names: dict[str, str] = {}
    for column, name in layout.canonical.items():
        if column in file.columns:
            names.setdefault(name, column)
    positions = [file.columns.index(column) for column in names.values()]
    further = condition_columns(file.columns, layout) if table == "sequence_map" else []
    texts, _, lines = file.read([*positions, *map(file.columns.index, further)], [])
    columns = pd.DataFrame(dict(enumerate(texts)), lines, dtype="str")
    frame = columns.iloc[:, : len(names)].set_axis([*names], axis=1)
    conditions = columns.iloc[:, len(names) :].set_axis(further, axis=1)
    if further:
        conditions.insert(0, "cell_line", frame["cell_line"])
    return RawTable(file.source(layout.name), frame, conditions if further else None)


def read_profiles(table: TableName, location: str) -> RawProfiles:
    """Read profiles x genes, a matrix of either layout or a table with one value per row.

    Raises TableFormatError or StorageError.
    """
    file = open_table(table, location)
    layout = recognise(table, location, file.columns)
    if not layout.matrix_of:
        return read_long_profiles(file, layout)
    leading = {
        layout.canonical[column]: position
        for position, column in enumerate(file.columns)
        if layout.canonical.get(column)
    }
    genes = [i for i, column in enumerate(file.columns) if column not in layout.canonical]
    texts, values, lines = file.read([*leading.values()], genes)
    profiles = pd.DataFrame(dict(zip(leading, texts, strict=True)), lines, dtype="str")
    if "is_default" not in leading:  # one row per cell line
        profiles = profiles.assign(profile=profiles["cell_line"], is_default="Yes")
    columns = [file.columns[i] for i in genes]
    return RawProfiles(file.source(layout.name), profiles, pd.DataFrame(values, lines, columns))


def _unlike_lines(
    dataset: Dataset, sequences: Sequence[str], cell_lines: Sequence[str]
) -> TableFormatError:
    return TableFormatError(
        "sequence_map",
        dataset.name,
        "missing_table",
        f"expected `sequence_map`, as no column of the logFC table ({', '.join(sequences[:3])}, "
        f"...) is a cell line of RNA ({', '.join(cell_lines[:3])}, ...) or a replicate of one",
        "give a table with the columns sequence and cell_line, one row per column of logFC",
    )


def _not_named(table: TableName, dataset: Dataset, *, of_screens: bool) -> TableFormatError:
    column = "; a long table may have a column `rna` instead" if table == "rna" else ""
    if of_screens and table == "sequence_map":
        column = ": ScreenSequenceMap has the cell lines of the screens in the rows of logFC"
    return TableFormatError(
        table,
        dataset.name,
        "missing_table",
        f"expected `{table}` in the dataset file with this logFC table, got none",
        f"add `{table}:` with the path of the table, or name a release `folder`{column}",
    )

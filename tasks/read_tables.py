"""All tables of a dataset as they stand in their files, under canonical column names.

Tables that cannot be read are collected, so that the user hears of all of them at once. What the
values must be is in `schemas.tables`; where the tables are, in `tasks.read_dataset`.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from schemas.dataset import Dataset
from schemas.layouts import recognise
from schemas.screen import LogfcSource, RawRna, RawScreen, RawTable, TableFormatError, TableName
from tasks.read_logfc import WideLogfc
from tasks.read_long import LongScreen, read_long
from tasks.table_files import open_table


def read_screen(dataset: Dataset) -> RawScreen:
    """Read the small tables and the header of the logFC table (a long one whole).

    Raises:
        StorageError: the storage cannot be reached. What is wrong with the tables is returned.
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

    opened = attempt(lambda: open_logfc(dataset))
    guide_map = small_table("guide_map", dataset.guide_map)
    sequence_map = small_table("sequence_map", dataset.sequence_map)
    location = dataset.rna
    rna = None if location is None else attempt(lambda: read_rna(location))
    logfc = opened.logfc if isinstance(opened, LongScreen) else opened
    if isinstance(opened, LongScreen):
        guide_map = guide_map if dataset.guide_map else opened.guide_map
        sequence_map = sequence_map if dataset.sequence_map else opened.sequence_map
        rna = rna if dataset.rna else opened.rna
    wanted: dict[TableName, object] = {
        "guide_map": guide_map or dataset.guide_map,
        "sequence_map": sequence_map or dataset.sequence_map,
        "rna": rna or dataset.rna,
    }
    if opened is not None:
        unreadable += [_not_named(table, dataset) for table, given in wanted.items() if not given]
    return RawScreen(
        logfc=logfc,
        guide_map=guide_map,
        sequence_map=sequence_map,
        rna=rna,
        model_table=small_table("model_table", dataset.model_table),
        essential=small_table("essential", dataset.controls.essential),
        nonessential=small_table("nonessential", dataset.controls.nonessential),
        expression_addictions=small_table(
            "expression_addictions", dataset.controls.expression_addictions
        ),
        unreadable=tuple(unreadable),
    )


def open_logfc(dataset: Dataset) -> LogfcSource | LongScreen:
    """Open a wide logFC table, or read a long one; raise TableFormatError or StorageError."""
    assert dataset.logfc is not None
    file = open_table("logfc", dataset.logfc)
    layout = recognise("logfc", dataset.logfc, file.columns)
    if layout.matrix_of:
        return WideLogfc(file, layout)
    return read_long(file, layout, dataset.library, with_rna=dataset.rna is None)


def read_small_table(table: TableName, location: str) -> RawTable:
    """Read the columns its layout knows, as text; raise TableFormatError or StorageError."""
    file = open_table(table, location)
    layout = recognise(table, location, file.columns)
    names = {column: name for column, name in layout.canonical.items() if column in file.columns}
    positions = [file.columns.index(column) for column in names]
    texts, _, lines = file.read(positions, [])
    frame = pd.DataFrame(dict(zip(names.values(), texts, strict=True)), lines, dtype="str")
    return RawTable(file.source(layout.name), frame)


def read_rna(location: str) -> RawRna:
    """Read an RNA matrix of either layout; raise TableFormatError or StorageError."""
    file = open_table("rna", location)
    layout = recognise("rna", location, file.columns)
    leading = {
        layout.canonical[column]: position
        for position, column in enumerate(file.columns)
        if layout.canonical.get(column)
    }
    genes = [i for i, column in enumerate(file.columns) if column not in layout.canonical]
    texts, values, lines = file.read([*leading.values()], genes)
    profiles = pd.DataFrame(dict(zip(leading, texts, strict=True)), lines, dtype="str")
    if "is_default" not in leading:  # one row a cell line, labelled by it
        profiles = profiles.assign(profile=profiles["cell_line"], is_default="Yes")
    columns = [file.columns[i] for i in genes]
    return RawRna(file.source(layout.name), profiles, pd.DataFrame(values, lines, columns))


def _not_named(table: TableName, dataset: Dataset) -> TableFormatError:
    return TableFormatError(
        table,
        dataset.name,
        "missing_table",
        f"expected `{table}` in the dataset file beside this logFC table, it names none",
        f"add `{table}:` with the path of the table, or name a release `folder`",
    )

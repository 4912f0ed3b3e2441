"""Table files of every format, read in blocks of rows: text columns as text, the others as numbers.

Whatever is wrong with a file as a file (cut off, not what its suffix says, a cell that is no
number) is said here. Which column means what belongs in the readers of each table.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from schemas.layouts import (
    MISSING_VALUES,
    NUMBER,
    SUFFIXES,
    UNNAMED,
    check_head,
    name_columns,
    parse_header,
)
from schemas.screen import TableFormatError, TableName, TableSource
from tasks.csv_blocks import CsvParser, as_objects, parsed_ahead, whole_lines
from tasks.storage import StoredFile

CSV_BLOCK_BYTES = 16 << 20
"""Text parsed at once: of smaller blocks, each column costs more than the numbers in it."""
CELLS_PER_BLOCK = 1 << 20
"""Cells read at once from Parquet and HDF5."""
HEAD_BYTES = 64 << 10


@dataclass(frozen=True)
class Rows:
    """Some rows that stand together in the file."""

    texts: list[np.ndarray]
    """One array of text a text column asked for, object dtype, missing as None."""
    numbers: np.ndarray
    """The number columns asked for (n_rows, n_columns), float64, NaN where missing."""
    first_line: int
    """Line of the first row; the header, in formats without lines too, counts as line 1."""

    @property
    def lines(self) -> np.ndarray:
        """Line of each row."""
        return np.arange(self.first_line, self.first_line + len(self.numbers))


class TableFile(ABC):
    """One table in one file; opening it reads the header."""

    def __init__(self, table: TableName, stored: StoredFile) -> None:
        self.table = table
        self.stored = stored
        self.columns = self._read_columns()

    @abstractmethod
    def _read_columns(self) -> tuple[str, ...]:
        """Return the column names."""

    @abstractmethod
    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows, of the columns at these positions; raise TableFormatError."""

    def read(
        self, texts: Sequence[int], numbers: Sequence[int]
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Return all rows at once: text columns, numbers and the lines they stand on."""
        nothing = Rows([np.empty(0, object) for _ in texts], np.empty((0, len(numbers))), 2)
        parts = list(self.rows(texts, numbers)) or [nothing]
        return (
            [
                np.concatenate(column)
                for column in zip(*(part.texts for part in parts), strict=True)
            ],
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.lines for part in parts]),
        )

    def source(self, layout: str) -> TableSource:
        """Return where the table is; takes the digest first, where it was not yet read through."""
        stored = self.stored
        return TableSource(self.table, stored.location, layout, stored.sha256, stored.size_bytes)

    def error(self, rule: str, message: str, mend: str) -> TableFormatError:
        """Return an error about this table."""
        return TableFormatError(self.table, self.stored.location, rule, message, mend)

    def not_a_number(self, line: int, column: int, value: object) -> TableFormatError:
        """Return the error about one cell."""
        return self.error(
            "not_a_number",
            f"expected a number, got {value!r} on line {line}, column {self.columns[column]!r}",
            "correct it, or leave it empty where the value is missing",
        )

    def _open_stored(self) -> io.BufferedReader:
        try:
            return self.stored.open()
        except FileNotFoundError:
            raise self.error(
                "missing_file",
                "expected a file, there is none",
                "correct the path in the dataset file, or put the file there",
            ) from None

    @contextmanager
    def _damage(self, *errors: type[Exception]) -> Iterator[None]:
        try:
            yield
        except errors as error:
            raise self.error(
                "damaged_file", f"expected a whole file, got: {error}", "fetch the file again"
            ) from error


def open_table(table: TableName, location: str) -> TableFile:
    """Open a table by its suffix.

    Raises:
        TableFormatError: there is none, or its header cannot be read.
        StorageError: the storage cannot be reached.
    """
    name = location.lower().removesuffix(".gz")
    formats: dict[str, type[CsvFile | ParquetFile | Hdf5File]] = {
        ".csv": CsvFile,
        ".parquet": ParquetFile,
        ".hdf5": Hdf5File,
    }
    for suffix, file_format in formats.items():
        if name.endswith(suffix):
            return file_format(table, StoredFile(location))
    raise TableFormatError(
        table,
        location,
        "unknown_suffix",
        f"expected a file ending in {', '.join(SUFFIXES)}",
        "give the table in one of these formats",
    )


class CsvFile(TableFile):
    """Comma-separated text, gzipped or not."""

    def _read_columns(self) -> tuple[str, ...]:
        with self._open() as stream, self._decompressing():
            location = self.stored.location
            header = stream.readline()
            check_head(self.table, location, header + stream.read(HEAD_BYTES))
            return parse_header(self.table, location, header)

    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows; the row of an empty line is left out."""
        line, last = 2, b""
        with self._open() as stream, self._decompressing():
            stream.readline()
            # A table of text alone is small, and its values may hold line breaks: it comes whole.
            size = CSV_BLOCK_BYTES if numbers else -1
            parser = CsvParser(len(self.columns), texts, numbers)
            try:
                for block in parsed_ahead(parser, whole_lines(stream, size)):
                    yield from _between_empty_lines(Rows(block.texts, block.numbers, line))
                    line += len(block.numbers)
                    last = block.last
            except pa.ArrowInvalid as error:
                raise self._explain(line, numbers, str(error)) from error
            if last not in (b"", b"\n"):
                raise self._truncated(
                    "the last line does not end with a line break: its last value may be cut off",
                    "; if it is whole, add a line break at its end",
                )

    def _open(self) -> io.BufferedReader | gzip.GzipFile:
        stored = self._open_stored()
        # By content: browsers unpack a download and leave its name.
        if stored.peek(2)[:2] == b"\x1f\x8b":
            return gzip.GzipFile(fileobj=stored)
        return stored

    @contextmanager
    def _decompressing(self) -> Iterator[None]:
        with self._damage(zlib.error, gzip.BadGzipFile):
            try:
                yield
            except EOFError:
                raise self._truncated("the compressed file ends early") from None

    def _truncated(self, message: str, else_mend: str = "") -> TableFormatError:
        return self.error(
            "truncated", f"expected a whole file, {message}", f"fetch the file again{else_mend}"
        )

    def _explain(self, first_line: int, numbers: Sequence[int], cause: str) -> TableFormatError:
        """Look for what stopped the fast parser, which names no line, from a line on."""
        text = io.TextIOWrapper(self._open(), encoding="utf-8", errors="strict", newline="")
        with text:
            rows = csv.reader(text)
            try:
                for row in rows:
                    line = rows.line_num
                    if line < max(first_line, 2) or not row:
                        continue
                    if len(row) != len(self.columns):
                        came = f"line {line} has {len(row)} of {len(self.columns)} columns"
                        open_quote = any("\n" in value for value in row)
                        if len(row) < len(self.columns) and not open_quote and not any(rows):
                            return self._truncated(f"the last {came}")
                        return self.error(
                            "uneven_rows",
                            f"expected as many columns in each row as in the header, {came}",
                            "correct the row: quote values that hold commas, close every quote",
                        )
                    for column in numbers:
                        if row[column] not in MISSING_VALUES and not NUMBER.fullmatch(row[column]):
                            return self.not_a_number(line, column, row[column])
            except UnicodeDecodeError:
                return self.error(
                    "not_utf8", "expected UTF-8 text throughout", "save the table as UTF-8"
                )
            except csv.Error as error:
                cause = str(error)
        return self.error(
            "damaged_file", f"expected a table of text, got: {cause}", "mend the file"
        )


class ParquetFile(TableFile):
    """Parquet, read by row groups; an index that pandas stored comes first."""

    def _read_columns(self) -> tuple[str, ...]:
        with self._open_stored() as stored, self._damage(pa.ArrowInvalid):
            schema = pa.parquet.ParquetFile(stored).schema_arrow
        metadata = schema.pandas_metadata or {}
        index = [name for name in metadata.get("index_columns", ()) if isinstance(name, str)]
        self._order = [*map(schema.names.index, index)]
        self._order += [i for i in range(len(schema.names)) if i not in self._order]
        if not self._order:
            raise self.error("empty_file", "expected a table, it has no columns", "fetch it again")
        return name_columns([schema.names[i] for i in self._order])

    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows."""
        with self._open_stored() as stored, self._damage(pa.ArrowInvalid):
            line = 2
            size = max(1, CELLS_PER_BLOCK // len(self.columns))
            for batch in pa.parquet.ParquetFile(stored).iter_batches(batch_size=size):
                yield Rows(
                    [as_objects(self._text(batch[self._order[i]])) for i in texts],
                    np.column_stack(
                        [np.empty((batch.num_rows, 0))]
                        + [self._floats(batch[self._order[i]], i, line) for i in numbers]
                    ),
                    line,
                )
                line += batch.num_rows

    def _text(self, values: pa.Array) -> pa.Array:
        values = values.cast(pa.string())
        missing = pa.compute.is_in(values, pa.array(MISSING_VALUES))
        return pa.compute.if_else(missing, pa.scalar(None, pa.string()), values)

    def _floats(self, values: pa.Array, column: int, line: int) -> np.ndarray:
        if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
            return values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        texts = as_objects(self._text(values))
        for row, value in enumerate(texts):
            if value is not None and not NUMBER.fullmatch(value):
                raise self.not_a_number(line + row, column, value)
        return texts.astype(np.float64)


class Hdf5File(TableFile):
    """The published HDF5 layout of a matrix: `data`, row labels `dim_0`, column labels `dim_1`."""

    def _read_columns(self) -> tuple[str, ...]:
        with self._hdf5() as file:
            shapes = {
                name: item.shape for name, item in file.items() if isinstance(item, h5py.Dataset)
            }
            data, rows, columns = (shapes.get(name) for name in ("data", "dim_0", "dim_1"))
            if data is None or rows is None or columns is None or data != rows + columns:
                came = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
                raise self.error(
                    "unknown_layout",
                    "expected data (rows x columns), dim_0 (row labels), dim_1 (column labels), "
                    f"got {came}",
                    "give the file as published, or the table as CSV",
                )
            return (UNNAMED, *file["dim_1"].asstr()[:])

    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows; the only text is the row label, at position 0."""
        with self._hdf5() as file:
            size = max(1, CELLS_PER_BLOCK // len(self.columns))
            labels = file["dim_0"].asstr()[:].astype(object)
            labels[np.isin(labels, MISSING_VALUES)] = None
            for start in range(0, len(labels), size):
                block = slice(start, start + size)
                values = file["data"][block].astype(np.float64)
                yield Rows(
                    [labels[block] for _ in texts], values[:, np.array(numbers) - 1], start + 2
                )

    @contextmanager
    def _hdf5(self) -> Iterator[h5py.File]:
        with self._open_stored() as stored:
            with self._damage(OSError):
                file = h5py.File(stored, "r")
            with file, self._damage(OSError):
                yield file


def _between_empty_lines(rows: Rows) -> Iterator[Rows]:
    """Cut at rows without a text and a number: they are empty lines, at the end of most files."""
    empty = np.ones(len(rows.numbers), dtype=bool)
    for text in rows.texts:
        empty &= pd.isna(text)
    empty[empty] = np.isnan(rows.numbers[empty]).all(axis=1)
    if not empty.any():
        yield rows
        return
    filled = np.flatnonzero(~empty)
    for run in np.split(filled, np.flatnonzero(np.diff(filled) > 1) + 1):
        if len(run):
            part = slice(run[0], run[-1] + 1)
            yield Rows(
                [text[part] for text in rows.texts], rows.numbers[part], rows.first_line + run[0]
            )

"""Reads tables in CSV and Parquet in blocks of rows, and explains defects of the files."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from schemas.tables.containers import TableFormatError, TableName
from schemas.tables.heads import (
    check_head,
    delimiter_of,
    is_above_header,
    is_padded,
    lacks_row_labels,
    name_columns,
    parse_header,
    without_padding,
)
from schemas.tables.layouts import MISSING_VALUES, NUMBER, SUFFIXES, TEXT_SUFFIXES, UNNAMED
from tasks.reading.csv import CsvParser, LineTooLong, as_objects, parse_ahead, whole_lines
from tasks.reading.hdf5 import Hdf5File
from tasks.reading.storage import StoredFile
from tasks.reading.table_rows import CELLS_PER_BLOCK, Rows, TableFile

CSV_BLOCK_BYTES = 16 << 20
"""Block size: in smaller blocks, the overhead per column exceeds the parsing of its numbers."""
MAX_LINE_BYTES = 32 << 20
"""Longest line; a header of a hundred thousand genes takes 2 MB."""
MAX_TEXT_BYTES = 256 << 20
"""Largest table of text alone, which is read whole; the largest guide map takes 10 MB."""
HEAD_BYTES = 64 << 10
MOST_ABOVE = 100
"""Lines above the header that may be empty."""


def open_table(table: TableName, location: str) -> TableFile:
    """Open a table in the format of its suffix.

    Raises:
        TableFormatError: there is no such file, or its header cannot be read.
        StorageError: the storage cannot be reached.
    """
    name = location.lower().removesuffix(".gz")
    formats: dict[str, type[CsvFile | ParquetFile | Hdf5File]] = {
        **dict.fromkeys(TEXT_SUFFIXES, CsvFile),
        ".parquet": ParquetFile,
        ".hdf5": Hdf5File,
    }
    for suffix, file_format in formats.items():
        if name.endswith(suffix):
            return file_format(table, StoredFile(location))
    remedy = next(
        (how for endings, how in _OTHER_FORMATS.items() if name.rstrip("/").endswith(endings)),
        "give the table in one of these formats",
    )
    raise TableFormatError(
        table,
        location,
        "unknown_suffix",
        f"expected a file ending in {', '.join(SUFFIXES)}",
        remedy,
    )


_OTHER_FORMATS = {
    (".zarr", ".zarr.zip"): "Zarr is not read: save its matrix with its labels as Parquet or CSV",
    (".rda", ".rdata", ".rds"): "save the data frame from R with write.csv(row.names=FALSE), a "
    "matrix with its row names",
    (".h5ad", ".h5", ".loom"): "save its matrix with its labels as Parquet or CSV",
    (".xlsx", ".xls", ".ods"): "save the sheet as CSV; check that it has made no dates of genes",
    (".gct",): "save its matrix without the lines above the header, as .tsv",
    (".zip", ".tar", ".bz2", ".xz", ".zst", ".7z"): "unpack it",
}


_LINE_LIMIT = f"{MAX_LINE_BYTES / 1e6:.0f} MB a line"


class CsvFile(TableFile):
    """Text separated by commas or tabs, gzipped or not.

    Read as if they were not there: empty lines above the header, blanks beside every delimiter, and
    columns at the end of the lines that have neither name nor value. The header may lack the name
    of the row labels.
    """

    def _read_columns(self) -> tuple[str, ...]:
        with self._open() as stream, self._decompressing():
            location = self.stored.location
            header, self._header_line = stream.readline(MAX_LINE_BYTES), 1
            while is_above_header(header) and self._header_line <= MOST_ABOVE:
                header = stream.readline(MAX_LINE_BYTES)
                self._header_line += 1
            row = stream.readline(MAX_LINE_BYTES)
            head = header + row + stream.read(HEAD_BYTES)
            check_head(self.table, location, head)
            suffix = PurePath(location.lower().removesuffix(".gz")).suffix
            self.delimiter = delimiter_of(header, suffix)
            if len(header) == MAX_LINE_BYTES:
                raise self.too_large(_LINE_LIMIT)
            self._padded = is_padded(header, self.delimiter)
            if self._padded:
                header = without_padding(header, self.delimiter)
            columns = parse_header(self.table, location, header, self.delimiter)
            if columns[0] != UNNAMED and lacks_row_labels(len(columns), row, self.delimiter):
                columns = (UNNAMED, *columns)
            self.require_columns(len(columns))
            self._n_columns = len(columns)
            while len(columns) > 2 and columns[-1] == UNNAMED:
                columns = columns[:-1]
            return columns

    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows except empty lines."""
        line, last = self._header_line + 1, b""
        unnamed = range(len(self.columns), self._n_columns)
        with self._open() as stream, self._decompressing():
            for _ in range(self._header_line):
                stream.readline()
            # A table of text alone is small, and its values may contain line breaks: read it whole.
            if numbers:
                blocks = whole_lines(stream, CSV_BLOCK_BYTES, MAX_LINE_BYTES)
            else:
                blocks = iter(filter(None, [self._all_of(stream)]))
            if self._padded:
                blocks = (without_padding(block, self.delimiter) for block in blocks)
            parser = CsvParser(self._n_columns, [*texts, *unnamed], numbers, self.delimiter)
            try:
                for block in parse_ahead(parser, blocks):
                    lines = line + block.lines
                    self._require_empty(block.texts[len(texts) :], lines)
                    yield from _runs(block.texts[: len(texts)], block.numbers, lines)
                    line += block.n_lines
                    last = block.last
            except pa.ArrowInvalid as error:
                raise self._explain(line, numbers, str(error)) from error
            except LineTooLong:
                raise self.too_large(_LINE_LIMIT) from None
            if last not in (b"", b"\n"):
                raise self._truncated(
                    "the last line does not end with a line break: its last value may be cut off",
                    "; if it is whole, add a line break at its end",
                )

    def _require_empty(self, unnamed: Sequence[np.ndarray], lines: np.ndarray) -> None:
        for column, values in enumerate(unnamed, len(self.columns) + 1):
            filled = np.flatnonzero(pd.notna(values))
            if len(filled):
                raise self.error(
                    "unnamed_column",
                    f"expected a name of each column but the first, got none of column {column}, "
                    f"which has {values[filled[0]]!r} on line {lines[filled[0]]}",
                    "name the column, or remove it",
                )

    def _all_of(self, stream: io.BufferedReader | gzip.GzipFile) -> bytes:
        content = bytearray()
        while part := stream.read(HEAD_BYTES):
            content += part
            if len(content) > MAX_TEXT_BYTES:
                raise self.too_large(f"{MAX_TEXT_BYTES / 1e6:.0f} MB of text")
        return bytes(content)

    def _open(self) -> io.BufferedReader | gzip.GzipFile:
        stored = self._open_stored()
        # Test the content: browsers unpack downloads without renaming them.
        if stored.peek(2)[:2] == b"\x1f\x8b":
            return gzip.GzipFile(fileobj=stored)
        return stored

    @contextmanager
    def _decompressing(self) -> Iterator[None]:
        with self._damage_errors(zlib.error, gzip.BadGzipFile):
            try:
                yield
            except EOFError:
                raise self._truncated("the compressed file ends early") from None

    def _truncated(self, message: str, else_remedy: str = "") -> TableFormatError:
        return self.error(
            "truncated", f"expected a whole file, {message}", f"fetch the file again{else_remedy}"
        )

    def _explain(self, first_line: int, numbers: Sequence[int], cause: str) -> TableFormatError:
        """Return the error that stopped the fast parser, searching from `first_line` on."""
        text = io.TextIOWrapper(self._open(), encoding="utf-8", errors="strict", newline="")
        with text:
            rows = csv.reader(text, delimiter=self.delimiter, skipinitialspace=self._padded)
            try:
                next_line = 1
                for row in rows:  # a quoted line break belongs to its row
                    line, next_line = next_line, rows.line_num + 1
                    if line < max(first_line, self._header_line + 1) or not row:
                        continue
                    if len(row) != self._n_columns:
                        found = f"line {line} has {len(row)} of {self._n_columns} columns"
                        open_quote = any("\n" in value for value in row)
                        if len(row) < self._n_columns and not open_quote and not any(rows):
                            return self._truncated(f"the last {found}")
                        return self.error(
                            "uneven_rows",
                            f"expected as many columns in each row as in the header, {found}",
                            "correct the row: quote values with commas, close every quote",
                        )
                    for column in numbers:
                        value = row[column].strip(" ") if self._padded else row[column]
                        if value not in MISSING_VALUES and not NUMBER.fullmatch(value):
                            return self.not_a_number(line, column, value)
            except UnicodeDecodeError:
                return self.error(
                    "not_utf8", "expected UTF-8 text throughout", "save the table as UTF-8"
                )
            except csv.Error as error:
                cause = str(error)
        return self.error(
            "damaged_file", f"expected a table of text, got: {cause}", "correct the file"
        )


# Arrow also raises OSError for damaged files; StorageError is not an OSError.
_DAMAGE = (pa.ArrowException, OSError, ValueError)


class ParquetFile(TableFile):
    """Parquet; index columns stored by pandas come first."""

    def _read_columns(self) -> tuple[str, ...]:
        with self._open_stored() as stored, self._damage_errors(*_DAMAGE):
            schema = pa.parquet.ParquetFile(stored).schema_arrow
        metadata = schema.pandas_metadata or {}
        index = [name for name in metadata.get("index_columns", ()) if isinstance(name, str)]
        self._order = [*map(schema.names.index, index)]
        self._order += [i for i in range(len(schema.names)) if i not in self._order]
        if not self._order:
            raise self.error("empty_file", "expected a table, it has no columns", "fetch it again")
        self.require_columns(len(self._order))
        return name_columns([schema.names[i] for i in self._order])

    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows."""
        with self._open_stored() as stored, self._damage_errors(*_DAMAGE):
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
        if pa.types.is_nested(values.type):
            raise pa.ArrowInvalid(f"a column of {values.type}, expected one value per row")
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


def _runs(texts: list[np.ndarray], numbers: np.ndarray, lines: np.ndarray) -> Iterator[Rows]:
    """Yield the rows of a block that are on consecutive lines, without empty lines.

    `lines`: the line on which each row begins (n_rows,). Empty lines end most files.
    """
    empty = np.ones(len(numbers), dtype=bool)
    for text in texts:
        empty &= pd.isna(text)
    empty[empty] = np.isnan(numbers[empty]).all(axis=1)
    filled = np.flatnonzero(~empty)
    apart = (np.diff(filled) > 1) | (np.diff(lines[filled]) > 1)
    for run in np.split(filled, np.flatnonzero(apart) + 1):
        if len(run):
            part = slice(run[0], run[-1] + 1)
            yield Rows([text[part] for text in texts], numbers[part], int(lines[run[0]]))

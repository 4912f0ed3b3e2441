"""Tables in CSV and Parquet, read in blocks of rows: text as text, the others as numbers.

Whatever is wrong with a file as a file (cut off, not what its suffix says, a cell that is no
number) is said here, and in `tasks.hdf5_tables`. Which column means what belongs in the readers of
each table.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from schemas.layouts import (
    MISSING_VALUES,
    NUMBER,
    SUFFIXES,
    check_head,
    name_columns,
    parse_header,
)
from schemas.screen import TableFormatError, TableName
from tasks.csv_blocks import CsvParser, LineTooLong, as_objects, parsed_ahead, whole_lines
from tasks.hdf5_tables import Hdf5File
from tasks.storage import StoredFile
from tasks.table_rows import CELLS_PER_BLOCK, Rows, TableFile

CSV_BLOCK_BYTES = 16 << 20
"""Text parsed at once: of smaller blocks, each column costs more than the numbers in it."""
MOST_BYTES_OF_LINE = 32 << 20
"""A header of a hundred thousand genes takes two of these MB."""
MOST_BYTES_OF_TEXT = 256 << 20
"""A table of text alone comes whole; the largest guide map takes ten MB."""
HEAD_BYTES = 64 << 10


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


_LINE_LIMIT = f"{MOST_BYTES_OF_LINE / 1e6:.0f} MB a line"


class CsvFile(TableFile):
    """Comma-separated text, gzipped or not."""

    def _read_columns(self) -> tuple[str, ...]:
        with self._open() as stream, self._decompressing():
            location = self.stored.location
            header = stream.readline(MOST_BYTES_OF_LINE)
            check_head(self.table, location, header + stream.read(HEAD_BYTES))
            if len(header) == MOST_BYTES_OF_LINE:
                raise self.too_large(_LINE_LIMIT)
            columns = parse_header(self.table, location, header)
            self.require_columns(len(columns))
            return columns

    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows; the row of an empty line is left out."""
        line, last = 2, b""
        with self._open() as stream, self._decompressing():
            stream.readline()
            # A table of text alone is small, and its values may hold line breaks: it comes whole.
            if numbers:
                blocks = whole_lines(stream, CSV_BLOCK_BYTES, MOST_BYTES_OF_LINE)
            else:
                blocks = iter(filter(None, [self._all_of(stream)]))
            parser = CsvParser(len(self.columns), texts, numbers)
            try:
                for block in parsed_ahead(parser, blocks):
                    yield from _between_empty_lines(Rows(block.texts, block.numbers, line))
                    line += len(block.numbers)
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

    def _all_of(self, stream: io.BufferedReader | gzip.GzipFile) -> bytes:
        content = bytearray()
        while part := stream.read(HEAD_BYTES):
            content += part
            if len(content) > MOST_BYTES_OF_TEXT:
                raise self.too_large(f"{MOST_BYTES_OF_TEXT / 1e6:.0f} MB of text")
        return bytes(content)

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


# A damaged file is an OSError to Arrow, too; trouble of the storage is none.
_DAMAGE = (pa.ArrowException, OSError, ValueError)


class ParquetFile(TableFile):
    """Parquet, read by row groups; an index that pandas stored comes first."""

    def _read_columns(self) -> tuple[str, ...]:
        with self._open_stored() as stored, self._damage(*_DAMAGE):
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
        with self._open_stored() as stored, self._damage(*_DAMAGE):
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
            raise pa.ArrowInvalid(f"a column of {values.type}, where one value a row belongs")
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

"""Fast parallel parsing of valid CSV text; `tasks.reading.table_file` explains invalid files."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from gzip import GzipFile
from io import BufferedReader
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv

from model.runtime.executors import n_threads
from schemas.tables.layouts import MISSING_VALUES

PARSERS = min(4, n_threads())
"""Parser threads, beside the caller that reads, digests and checks rows."""


class ParsedLines(NamedTuple):
    """Parsed values of a block of lines."""

    texts: list[np.ndarray]
    """One array per requested text column, object dtype, None where missing."""
    numbers: np.ndarray
    """Requested number columns (n_lines, n_columns), float64, NaN where missing, in column-major
    order as in Arrow: transposing them would take longer than checking."""
    lines: np.ndarray
    """Line on which each row begins (n_rows,), from 0; a value may have line breaks in quotes."""
    n_lines: int
    last: bytes
    """Last byte of the block."""


class CsvParser:
    """Parses whole lines of a table; raises pyarrow.ArrowInvalid, without a line number."""

    def __init__(
        self, n_columns: int, texts: Sequence[int], numbers: Sequence[int], delimiter: str = ","
    ) -> None:
        self._names = [str(column) for column in range(n_columns)]  # labels may repeat
        self._texts = [self._names[i] for i in texts]
        self._numbers = [self._names[i] for i in numbers]
        self._parsing = pa.csv.ParseOptions(
            delimiter=delimiter,
            ignore_empty_lines=False,  # keep line numbers
            newlines_in_values=not numbers,  # blocks are cut at line breaks
        )
        self._converting = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(self._texts, pa.string())
            | dict.fromkeys(self._numbers, pa.float64()),
            include_columns=self._texts + self._numbers,
            null_values=MISSING_VALUES,
            true_values=[],  # no column is boolean
            false_values=[],
            strings_can_be_null=True,
        )

    def __call__(self, lines: bytes) -> ParsedLines:
        """Return the values of whole lines."""
        reading = pa.csv.ReadOptions(
            column_names=self._names, use_threads=False, block_size=len(lines)
        )
        table = pa.csv.read_csv(pa.BufferReader(lines), reading, self._parsing, self._converting)
        (batch,) = table.to_batches()
        first_lines, n_lines = self._first_lines(lines, batch.num_rows)
        return ParsedLines(
            [as_objects(batch[name]) for name in self._texts],
            self._matrix(batch),
            first_lines,
            n_lines,
            lines[-1:],
        )

    def _first_lines(self, lines: bytes, n_rows: int) -> tuple[np.ndarray, int]:
        """Return the line on which each row begins (n_rows,), and the number of lines."""
        n_lines = lines.count(b"\n") + (lines[-1:] != b"\n")
        if n_lines <= n_rows:
            return np.arange(n_rows), n_rows
        text = io.StringIO(lines.decode(), newline="")
        reader = csv.reader(text, delimiter=self._parsing.delimiter)
        try:
            ends = [reader.line_num for _ in reader]
        except csv.Error:  # of a value of 100 kB: lines are approximate then
            return np.arange(n_rows), n_lines
        return np.array([0, *ends[:-1]]), n_lines

    def _matrix(self, batch: pa.RecordBatch) -> np.ndarray:
        if not self._numbers:
            return np.empty((batch.num_rows, 0))
        tensor = batch.select(self._numbers).to_tensor(null_to_nan=True, row_major=False)
        return cast(np.ndarray, tensor.to_numpy())


def as_objects(values: pa.Array) -> np.ndarray:
    """Return text as an array of objects, None where missing."""
    return cast(np.ndarray, values.to_numpy(zero_copy_only=False))


class LineTooLong(ValueError):
    """A line exceeds the limit."""


def whole_lines(stream: BufferedReader | GzipFile, size: int, most_of_line: int) -> Iterator[bytes]:
    """Yield the rest of a stream in blocks of about `size` bytes that end with a line break.

    Raises LineTooLong after `most_of_line` bytes without one: a file of a few MB may unpack to a
    line of many GB.
    """
    while lines := stream.read(size):
        rest = stream.readline(most_of_line)
        if len(rest) == most_of_line:
            raise LineTooLong
        yield lines + rest


def parse_ahead(
    parse: Callable[[bytes], ParsedLines], blocks: Iterator[bytes]
) -> Iterator[ParsedLines]:
    """Yield the parsed blocks in order, while threads parse the next ones.

    An error is raised after the blocks before it.
    """
    waiting: deque[Future[ParsedLines]] = deque()
    read_on = True
    with ThreadPoolExecutor(PARSERS, thread_name_prefix="csv") as pool:
        while waiting or read_on:
            while read_on and len(waiting) <= PARSERS:
                try:
                    waiting.append(pool.submit(parse, next(blocks)))
                except StopIteration:
                    read_on = False
                except Exception as error:
                    waiting.append(Future())
                    waiting[-1].set_exception(error)
                    read_on = False
            if waiting:
                yield waiting.popleft().result()

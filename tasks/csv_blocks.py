"""Text of comma-separated lines to columns and numbers, several blocks of lines at a time.

Only the fast way of sound text. What is wrong with a file, in words, and what its columns are, is
in `tasks.table_files`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from gzip import GzipFile
from io import BufferedReader
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv

from model.exact.workers import n_threads
from schemas.layouts import MISSING_VALUES

PARSERS = min(4, n_threads())
"""Threads that parse, while whoever asked for the rows reads, digests and checks them."""


class ParsedLines(NamedTuple):
    """What stands in some lines."""

    texts: list[np.ndarray]
    """One array of text a text column asked for, object dtype, missing as None."""
    numbers: np.ndarray
    """The number columns asked for (n_lines, n_columns), float64, NaN where missing; each column
    in one piece, as Arrow has them: turning them into rows would take longer than checking."""
    last: bytes
    """The last byte."""


class CsvParser:
    """Parses whole lines of a table; raises pyarrow.ArrowInvalid, which names no line."""

    def __init__(self, n_columns: int, texts: Sequence[int], numbers: Sequence[int]) -> None:
        self._names = [str(column) for column in range(n_columns)]  # labels may stand twice
        self._texts = [self._names[i] for i in texts]
        self._numbers = [self._names[i] for i in numbers]
        self._parsing = pa.csv.ParseOptions(
            ignore_empty_lines=False,  # so that lines can be counted
            newlines_in_values=not numbers,  # else lines could not be cut into blocks
        )
        self._converting = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(self._texts, pa.string())
            | dict.fromkeys(self._numbers, pa.float64()),
            include_columns=self._texts + self._numbers,
            null_values=MISSING_VALUES,
            true_values=[],  # no column is of flags: spare each the list of their words
            false_values=[],
            strings_can_be_null=True,
        )

    def __call__(self, lines: bytes) -> ParsedLines:
        """Return what stands in whole lines."""
        reading = pa.csv.ReadOptions(
            column_names=self._names, use_threads=False, block_size=len(lines)
        )
        table = pa.csv.read_csv(pa.BufferReader(lines), reading, self._parsing, self._converting)
        (batch,) = table.to_batches()
        return ParsedLines(
            [as_objects(batch[name]) for name in self._texts], self._matrix(batch), lines[-1:]
        )

    def _matrix(self, batch: pa.RecordBatch) -> np.ndarray:
        if not self._numbers:
            return np.empty((batch.num_rows, 0))
        tensor = batch.select(self._numbers).to_tensor(null_to_nan=True, row_major=False)
        return cast(np.ndarray, tensor.to_numpy())


def as_objects(values: pa.Array) -> np.ndarray:
    """Return text as an array of objects, missing as None."""
    return cast(np.ndarray, values.to_numpy(zero_copy_only=False))


class LineTooLong(ValueError):
    """A line that is longer than any of a table."""


def whole_lines(stream: BufferedReader | GzipFile, size: int, most_of_line: int) -> Iterator[bytes]:
    """Yield what is left of a stream, cut after line breaks into about `size` bytes.

    Raises LineTooLong where none comes for `most_of_line` bytes: a file of a few MB may unpack to
    a line of many GB.
    """
    while lines := stream.read(size):
        rest = stream.readline(most_of_line)
        if len(rest) == most_of_line:
            raise LineTooLong
        yield lines + rest


def parsed_ahead(
    parse: Callable[[bytes], ParsedLines], blocks: Iterator[bytes]
) -> Iterator[ParsedLines]:
    """Yield the parsed blocks in their order, the next ones being parsed meanwhile.

    What stops the reading is raised where it stands in the file: after the blocks before it.
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

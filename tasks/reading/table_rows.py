"""The interface of table readers, common to all formats, and limits on the size of tables."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from schemas.tables.containers import TableFormatError, TableName, TableSource
from schemas.tables.heads import check_kind
from tasks.reading.storage import NoSuchFile, StoredFile

CELLS_PER_BLOCK = 1 << 20
"""Cells per block read from Parquet and HDF5."""
MAX_COLUMNS = 200_000
"""Three times the genes of the widest RNA table: a file may declare or unpack to any number."""
MAX_TABLE_BYTES = 4 << 30
"""Memory for a table that is read whole; the wide logFC table is read in blocks."""
_HEAD_BYTES = 1024
_BYTES_OF_TEXT = 64
"""Approximate memory of a label."""


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a file."""

    texts: list[np.ndarray]
    """One array per requested text column, object dtype, None where missing."""
    numbers: np.ndarray
    """Requested number columns (n_rows, n_columns), float64, NaN where missing."""
    first_line: int
    """Line of the first row; the header is line 1 in every format."""

    @property
    def lines(self) -> np.ndarray:
        """Line of each row."""
        return np.arange(self.first_line, self.first_line + len(self.numbers))


class TableFile(ABC):
    """A table in a file; the constructor reads its header."""

    def __init__(self, table: TableName, stored: StoredFile) -> None:
        self.table = table
        self.stored = stored
        try:
            self.columns = self._read_columns()
        except TableFormatError:
            with self._open_stored() as start:  # in any format, this explains more
                check_kind(table, stored.location, start.read(_HEAD_BYTES))
            raise

    @abstractmethod
    def _read_columns(self) -> tuple[str, ...]:
        """Return the column names."""

    @abstractmethod
    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows of the columns at these positions; raise TableFormatError."""

    def read(
        self, texts: Sequence[int], numbers: Sequence[int]
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Return all rows: text columns, numbers and line numbers."""
        nothing = Rows([np.empty(0, object) for _ in texts], np.empty((0, len(numbers))), 2)
        parts, size = [], 0
        for part in self.rows(texts, numbers):
            parts.append(part)
            size += len(part.numbers) * (_BYTES_OF_TEXT * len(texts) + 8 * len(numbers))
            if size > MAX_TABLE_BYTES:
                raise self.too_large(f"{MAX_TABLE_BYTES / 1e9:.1f} GB in memory")
        parts = parts or [nothing]
        return (
            [
                np.concatenate(column)
                for column in zip(*(part.texts for part in parts), strict=True)
            ],
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.lines for part in parts]),
        )

    def source(self, layout: str) -> TableSource:
        """Return location, layout and digest; reads the file for the digest if necessary."""
        return TableSource(self.table, self.stored.location, layout, self.stored.sha256)

    def error(self, rule: str, message: str, remedy: str) -> TableFormatError:
        """Return an error about this table."""
        return TableFormatError(self.table, self.stored.location, rule, message, remedy)

    def not_a_number(self, line: int, column: int, value: object) -> TableFormatError:
        """Return the error for a cell that is not a number."""
        return self.error(
            "not_a_number",
            f"expected a number, got {value!r} on line {line}, column {self.columns[column]!r}",
            "correct it, or leave it empty where the value is missing",
        )

    def too_large(self, limit: str) -> TableFormatError:
        """Return the error for a table beyond a limit."""
        return self.error(
            "too_large",
            f"expected a table of at most {limit}, this one is larger",
            "fetch the file again, or use a part of it; a large logFC table is read as a matrix "
            "(guides x sequences)",
        )

    def require_columns(self, n_columns: int) -> None:
        """Raise TableFormatError if there are more than MAX_COLUMNS columns."""
        if n_columns > MAX_COLUMNS:
            raise self.too_large(f"{MAX_COLUMNS:,} columns")

    def _open_stored(self) -> io.BufferedReader:
        try:
            return self.stored.open()
        except NoSuchFile as error:
            raise self.error(
                "missing_file",
                f"expected a file, {error.why}",
                "correct the path in the dataset file, or put the file there",
            ) from None

    @contextmanager
    def _damage_errors(self, *errors: type[Exception]) -> Iterator[None]:
        try:
            yield
        except TableFormatError:  # a ValueError that needs no conversion
            raise
        except errors as error:
            raise self.error(
                "damaged_file",
                f"expected a whole file, got: {' '.join(str(error).split())}",
                "fetch the file again",
            ) from error

"""One table in one file, whatever its format: what every reader of a format gives, and how much.

The formats are in `tasks.table_files` and `tasks.hdf5_tables`; which column means what belongs in
the readers of each table.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from schemas.screen import TableFormatError, TableName, TableSource
from tasks.storage import NoSuchFile, StoredFile

CELLS_PER_BLOCK = 1 << 20
"""Cells read at once from Parquet and HDF5."""
MOST_COLUMNS = 200_000
"""Three times the genes of the widest RNA table: a file may claim, or unpack to, any number."""
MOST_BYTES_WHOLE = 4 << 30
"""Memory for a table that is read whole; the wide logFC table, the largest by far, never is."""
_BYTES_OF_TEXT = 64
"""A label in memory, roughly."""


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
        parts, size = [], 0
        for part in self.rows(texts, numbers):
            parts.append(part)
            size += len(part.numbers) * (_BYTES_OF_TEXT * len(texts) + 8 * len(numbers))
            if size > MOST_BYTES_WHOLE:
                raise self.too_large(f"{MOST_BYTES_WHOLE / 1e9:.1f} GB in memory")
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
        """Return where the table is; takes the digest first, where it was not yet read through."""
        return TableSource(self.table, self.stored.location, layout, self.stored.sha256)

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

    def too_large(self, limit: str) -> TableFormatError:
        """Return the error about a file that claims, or unpacks to, more than any table has."""
        return self.error(
            "too_large",
            f"expected a table of at most {limit}, this one is larger",
            "fetch the file again, or give a part of it; a large logFC table is read as a matrix "
            "(guides x sequences)",
        )

    def require_columns(self, n_columns: int) -> None:
        """Raise TableFormatError where there are more columns than any table has."""
        if n_columns > MOST_COLUMNS:
            raise self.too_large(f"{MOST_COLUMNS:,} columns")

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
    def _damage(self, *errors: type[Exception]) -> Iterator[None]:
        try:
            yield
        except TableFormatError:  # told already; it is a ValueError too
            raise
        except errors as error:
            raise self.error(
                "damaged_file",
                f"expected a whole file, got: {' '.join(str(error).split())}",
                "fetch the file again",
            ) from error

"""Reads matrices in HDF5, safely: only numbers and labels stored in the file itself.

A file may come from an untrusted source. HDF5 contains no code, but a file can link to other files
and declare sizes beyond its content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import h5py
import numpy as np

from schemas.tables.layouts import MISSING_VALUES, UNNAMED
from tasks.reading.table_rows import CELLS_PER_BLOCK, Rows, TableFile

MAX_ROWS = 5_000_000
"""Forty times the guides of the largest library."""


def own_dataset(group: h5py.Group, key: str) -> h5py.Dataset | None:
    """Return a dataset stored in the file itself; None for anything else.

    A link, a virtual dataset and external storage could expose any file that this process can read.
    """
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        return None
    item = group[key]
    if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
        return None
    return item


class Hdf5File(TableFile):
    """The published HDF5 layout of a matrix: `data`, row labels `dim_0`, column labels `dim_1`."""

    def _read_columns(self) -> tuple[str, ...]:
        with self._hdf5() as file:
            found = {name: own_dataset(file, name) for name in file}
            shapes = {name: item.shape for name, item in found.items() if item is not None}
            data, rows, columns = (shapes.get(name) for name in ("data", "dim_0", "dim_1"))
            if data is None or rows is None or columns is None or data != rows + columns:
                found_shapes = ", ".join(
                    f"{name} {shapes.get(name, '(a group, or values stored elsewhere)')}"
                    for name in found
                )
                raise self.error(
                    "unknown_layout",
                    "expected data (rows x columns), dim_0 (row labels), dim_1 (column labels), "
                    f"got {found_shapes or 'none'}",
                    "give the file as published, or the table as CSV",
                )
            self.require_columns(columns[0])
            if rows[0] > MAX_ROWS:
                raise self.too_large(f"{MAX_ROWS:,} rows")
            if file["data"].dtype.kind not in "iuf":
                raise self.error(
                    "not_a_number",
                    f"expected numbers in data, got {file['data'].dtype}",
                    "give the file as published, or the table as CSV",
                )
            return (UNNAMED, *file["dim_1"].asstr()[:])

    def rows(self, texts: Sequence[int], numbers: Sequence[int]) -> Iterator[Rows]:
        """Yield all rows; the only text column is the row label, at position 0."""
        if any(texts):
            raise self.error(
                "unknown_layout",
                "expected a matrix of numbers with row labels, got a table of text in HDF5",
                "give it as CSV or Parquet",
            )
        at = np.array(numbers, dtype=np.intp) - 1
        with self._hdf5() as file:
            size = max(1, CELLS_PER_BLOCK // len(self.columns))
            labels = file["dim_0"].asstr()[:].astype(object)
            labels[np.isin(labels, MISSING_VALUES)] = None
            for start in range(0, len(labels), size):
                block = slice(start, start + size)
                values = file["data"][block].astype(np.float64)
                yield Rows([labels[block] for _ in texts], values[:, at], start + 2)

    @contextmanager
    def _hdf5(self) -> Iterator[h5py.File]:
        with self._open_stored() as stored:
            # Types of errors of h5py vary: labels may be numbers or not UTF-8, and addresses
            # beyond the file.
            damage = self._damage_errors(OSError, RuntimeError, KeyError, TypeError, ValueError)
            with damage, h5py.File(stored, "r") as file:
                yield file

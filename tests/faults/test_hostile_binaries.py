"""Parquet and HDF5 that claim, hold or point to what no table does: told, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from tasks import table_rows
from tests.faults.commands import InThisProcess
from tests.faults.tables import MEGABYTE, MOST_MORE, Make, good_table, most_memory, naming, refused

GUIDES = ["A" * 20, "C" * 20, "G" * 20, "T" * 20]
SEQUENCES = ["s1", "s2", "s3"]
TEXT = h5py.string_dtype()


# ---------------------------------------------------------------------------------------- Parquet


def parquet(**changes: object) -> Make:
    """Write the table with other columns."""

    def make(path: Path, table: bytes) -> None:
        frame = pd.read_csv(io.BytesIO(table))
        columns = {name: pa.array(frame[name]) for name in frame}
        pyarrow.parquet.write_table(pa.table(columns | dict(changes)), path)

    return make


def twenty_million_rows(path: Path, table: bytes) -> None:
    n = 1_000_000
    label = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, "i4")), pa.array(["a"]))
    number = pa.array(np.zeros(n))
    part = pa.table(
        {"gene": label, "cell_line": label, "guide": label, "logfc": number, "rna": number}
    )
    with pyarrow.parquet.ParquetWriter(path, part.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(part)


def spoilt(start: int, end: int) -> Make:
    def make(path: Path, table: bytes) -> None:
        parquet()(path, table)
        content = bytearray(path.read_bytes())
        content[start:end] = b"\xa5" * len(content[start:end])
        path.write_bytes(content)

    return make


ROWS = 300
PARQUETS: tuple[tuple[str, Make, pytest.MarkDecorator], ...] = (
    (
        "lists",
        parquet(gene=pa.array([["a", "b"]] * ROWS)),
        refused(
            "a Parquet column of lists",
            "lists where genes belong",
            "damaged_file",
            "one value a row",
        ),
    ),
    (
        "structs",
        parquet(logfc=pa.array([{"a": 1.0}] * ROWS)),
        refused(
            "a Parquet column of records",
            "records where logFC belongs",
            "damaged_file",
            "one value a row",
        ),
    ),
    (
        "bytes",
        parquet(gene=pa.array([b"\xff\xfe"] * ROWS)),
        refused(
            "Parquet labels that are no text", "bytes that are no UTF-8", "damaged_file", "UTF8"
        ),
    ),
    (
        "dates",
        parquet(logfc=pa.array([0] * ROWS, pa.date32())),
        refused(
            "dates where numbers belong", "a Parquet column of dates", "not_a_number", "line 2"
        ),
    ),
    (
        "no columns",
        lambda path, _: pyarrow.parquet.write_table(pa.table({}), path),
        refused("a Parquet file without columns", "written so", "empty_file", "it has no columns"),
    ),
    (
        "damaged page",
        spoilt(50, 120),
        refused(
            "a damaged page of a Parquet file", "70 bytes overwritten", "damaged_file", "fetch"
        ),
    ),
    (
        "damaged end",
        spoilt(-80, -20),
        refused("a damaged end of a Parquet file", "60 bytes overwritten", "damaged_file", "fetch"),
    ),
    (
        "rows",
        twenty_million_rows,
        refused(
            "a long table of twenty million rows in a file of a few hundred KB",
            "Parquet, every column constant",
            "too_large",
            "GB in memory",
        ),
    ),
)


@pytest.mark.parametrize(
    "make", [pytest.param(make, marks=mark, id=name) for name, make, mark in PARQUETS]
)
def test_parquet_that_is_no_table_is_told(
    make: Make, screen: Path, at_once: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "MOST_BYTES_WHOLE", 200 * MEGABYTE)
    make(screen.parent / "x.parquet", good_table(screen))
    at_once("validate", naming("x.parquet", screen))


# ------------------------------------------------------------------------------------------- HDF5


def matrix(file: h5py.File, **changes: object) -> None:
    """Write the published layout; None leaves a part out."""
    parts = {"data": np.zeros((4, 3)), "dim_0": GUIDES, "dim_1": SEQUENCES} | changes
    for name, part in parts.items():
        if isinstance(part, list):
            file.create_dataset(name, data=part, dtype=TEXT)
        elif part is not None:
            file[name] = part


def link_to_another_file(file: h5py.File, secret: Path) -> None:
    matrix(file, data=h5py.ExternalLink(str(secret), "data"))


def soft_link(file: h5py.File, _: Path) -> None:
    matrix(file, other=np.zeros((4, 3)), data=h5py.SoftLink("/other"))


def values_of_another_file(file: h5py.File, _: Path) -> None:
    matrix(file, data=None)
    file.create_dataset("data", (4, 3), "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File, secret: Path) -> None:
    matrix(file, data=None)
    layout = h5py.VirtualLayout((4, 3), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "data", (4, 3))
    file.create_virtual_dataset("data", layout)


def claiming(rows: int, columns: int) -> Callable[[h5py.File, Path], None]:
    def make(file: h5py.File, _: Path) -> None:
        chunks = (min(rows, 10**6), 1) if rows > columns else (1, min(columns, 10**6))
        file.create_dataset("data", (rows, columns), "f8", chunks=chunks)
        for name, size in (("dim_0", rows), ("dim_1", columns)):
            file.create_dataset(name, (size,), TEXT, chunks=(min(size, 10**6),))

    return make


def no_layout(what: str, made: str) -> pytest.MarkDecorator:
    return refused(what, made, "unknown_layout", "data (a group, or values that stand elsewhere)")


HDF5S: tuple[tuple[str, Callable[[h5py.File, Path], None], pytest.MarkDecorator], ...] = (
    (
        "external link",
        link_to_another_file,
        no_layout("an HDF5 table that is a link to another file", "an external link"),
    ),
    (
        "external values",
        values_of_another_file,
        no_layout(
            "an HDF5 table whose values stand in another file",
            "external storage in /etc/passwd",
        ),
    ),
    (
        "virtual",
        virtual,
        no_layout("an HDF5 table made up of other files", "a virtual dataset"),
    ),
    ("soft link", soft_link, no_layout("an HDF5 table that is a soft link", "a soft link")),
    (
        "rows",
        claiming(10**12, 3),
        refused(
            "an HDF5 table that claims 10¹² rows",
            "these dims in a file of some KB",
            "too_large",
            "at most 5,000,000 rows",
        ),
    ),
    (
        "columns",
        claiming(3, 10**12),
        refused(
            "an HDF5 table that claims 10¹² columns",
            "these dims in a file of some KB",
            "too_large",
            "at most 200,000 columns",
        ),
    ),
    (
        "dims",
        lambda file, _: matrix(file, dim_0=GUIDES[:2]),
        refused(
            "an HDF5 table with wrong dims", "labels of half its rows", "unknown_layout", "(2,)"
        ),
    ),
    (
        "numbered",
        lambda file, _: matrix(file, dim_1=np.arange(3)),
        refused("HDF5 labels that are numbers", "dim_1 of numbers", "damaged_file", "string"),
    ),
    (
        "texts",
        lambda file, _: matrix(file, data=np.full((4, 3), b"1.5")),
        refused("HDF5 values that are text", "data of bytes", "not_a_number", "got |S3"),
    ),
    (
        "bytes",
        lambda file, _: matrix(file, dim_1=[b"\xff", b"a", b"b"]),
        refused("HDF5 labels that are no UTF-8", "a byte of no text", "damaged_file", "utf-8"),
    ),
)


@pytest.mark.parametrize(
    "make", [pytest.param(make, marks=mark, id=name) for name, make, mark in HDF5S]
)
def test_hdf5_that_is_no_table_is_told(
    make: Callable[[h5py.File, Path], None], screen: Path, at_once: InThisProcess
) -> None:
    secret = screen.parent / "secret.hdf5"
    with h5py.File(secret, "w") as file:
        matrix(file)
    with h5py.File(screen.parent / "x.hdf5", "w") as file:
        make(file, secret)
    before = most_memory()
    assert at_once("validate", naming("x.hdf5", screen)).seconds < 20
    assert most_memory() - before < MOST_MORE

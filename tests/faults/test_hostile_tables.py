"""Tables that claim, unpack to, or point to what no table is: told, in bounded memory and time.

What is wrong with the values of a table is in `tests/integration/test_spoiled_tables.py`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import resource
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from deployments.exit_codes import BAD_INPUT, DONE
from tasks import table_rows
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess
from tests.faults.tables import good_table, naming

MEGABYTE = 1 << 20
MOST_MORE = 500 * MEGABYTE
"""Memory that refusing a table may take, however large it claims to be."""

GUIDES = ["A" * 20, "C" * 20, "G" * 20, "T" * 20]
SEQUENCES = ["s1", "s2", "s3"]
TEXT = h5py.string_dtype()
Make = Callable[[Path, bytes], object]


def most_memory() -> int:
    """Bytes of memory this process has had, at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def refused(what: str, made: str, *told: str) -> pytest.MarkDecorator:
    return fault(Area.FILES, what, made=made, code=BAD_INPUT, told=told, left=Left.NO_RUN)


def read(what: str, made: str) -> pytest.MarkDecorator:
    told = ("is valid: 0 error(s), 0 warning(s)",)
    return fault(Area.FILES, what, made=made, code=DONE, told=told, left=Left.NO_RUN)


# --------------------------------------------------------------------------- text, and compressed


def packed(path: Path, first: bytes, part: bytes, times: int) -> None:
    """Write gzip of `first` and then a part, again and again: members of one file."""
    path.write_bytes(gzip.compress(first) + gzip.compress(part, 9) * times)


def bomb_of_zeros(path: Path, _: bytes) -> None:
    packed(path, b"", bytes(16 * MEGABYTE), 640)


def bomb_after_a_header(path: Path, table: bytes) -> None:
    packed(path, table[:300], bytes(16 * MEGABYTE), 640)


def millions_of_columns(path: Path, _: bytes) -> None:
    path.write_bytes(b"," + b",".join(b"s%d" % number for number in range(1_000_000)) + b"\n")


def one_long_value(path: Path, table: bytes) -> None:
    header = table.splitlines(keepends=True)[0]
    path.write_bytes(header + b"a," + bytes(100 * MEGABYTE).replace(b"\0", b"b") + b",0,1,1\n")


def pages_of_zeros(path: Path, table: bytes) -> None:
    path.write_bytes(table + bytes(100_000))


def in_halves(path: Path, table: bytes) -> None:
    half = len(table) // 2
    path.write_bytes(gzip.compress(table[:half]) + gzip.compress(table[half:]))


REFUSED_TEXTS: tuple[tuple[str, Make, pytest.MarkDecorator], ...] = (
    (
        "bomb.csv.gz",
        bomb_of_zeros,
        refused(
            "a small file that unpacks to zeros without end",
            "10 GB of zeros in 10 MB of gzip",
            "too_large",
            "at most 34 MB a line",
        ),
    ),
    (
        "bomb_below.csv.gz",
        bomb_after_a_header,
        refused(
            "the same below a sound header",
            "a header and rows, then 10 GB of zeros",
            "too_large",
            "at most 34 MB a line",
        ),
    ),
    (
        "columns.csv",
        millions_of_columns,
        refused(
            "a table of a million columns",
            "a header of a million names",
            "too_large",
            "at most 200,000 columns",
        ),
    ),
    (
        "value.csv",
        one_long_value,
        refused("a value of a hundred MB", "one cell of a hundred MB", "too_large", "34 MB a line"),
    ),
    (
        "tail.csv.gz",
        lambda path, table: path.write_bytes(gzip.compress(table) + b"garbage"),
        refused(
            "something after the end of a compressed table",
            "bytes behind a whole gzip file",
            "damaged_file",
            "Not a gzipped file",
            "fetch the file again",
        ),
    ),
    (
        "cut.csv.gz",
        lambda path, table: path.write_bytes(gzip.compress(table)[:-200]),
        refused(
            "a compressed table that is cut off",
            "gzip without its last 200 bytes",
            "truncated",
            "the compressed file ends early",
        ),
    ),
    (
        "crc.csv.gz",
        lambda path, table: path.write_bytes(gzip.compress(table)[:-8] + bytes(8)),
        refused(
            "a compressed table with a wrong checksum",
            "gzip whose last eight bytes are zeros",
            "damaged_file",
            "CRC check failed",
        ),
    ),
    (
        "zip.csv",
        lambda path, table: path.write_bytes(b"PK\x03\x04" + table),
        refused(
            "a zip or Excel file called .csv",
            "a file that begins as zip does",
            "wrong_format",
            "got a zip or Excel file",
            "save it as CSV",
        ),
    ),
    (
        "bz2.csv",
        lambda path, table: path.write_bytes(bz2.compress(table)),
        refused("a bzip2 file called .csv", "bzip2", "not_utf8", "save the table as UTF-8"),
    ),
    (
        "utf16.csv",
        lambda path, table: path.write_bytes(table.decode().encode("utf-16")),
        refused("a table in UTF-16", "encoded so", "not_utf8", "save the table as UTF-8"),
    ),
    (
        "old_mac.csv",
        lambda path, table: path.write_bytes(table.replace(b"\n", b"\r")),
        refused(
            "lines that end with a carriage return alone",
            "every line feed replaced",
            "damaged_file",
            "the header has a carriage return alone",
        ),
    ),
    (
        "zeros.csv",
        pages_of_zeros,
        refused(
            "a table that ends in zeros, as a crash of a file system leaves it",
            "100,000 zeros at its end",
            "truncated",
            "fetch the file again",
        ),
    ),
    (
        "header.csv",
        lambda path, table: path.write_bytes(table.splitlines(keepends=True)[0]),
        refused("a table without rows", "its header alone", "table_empty", "give the whole table"),
    ),
)

READ_TEXTS: tuple[tuple[str, Make, pytest.MarkDecorator], ...] = (
    (
        "halves.csv.gz",
        in_halves,
        read("a compressed table of two members", "two halves, compressed and put together"),
    ),
    (
        "bom.csv",
        lambda path, table: path.write_bytes(b"\xef\xbb\xbf" + table),
        read("a byte order mark before a table", "three bytes before the header"),
    ),
    (
        "windows.csv",
        lambda path, table: path.write_bytes(table.replace(b"\n", b"\r\n")),
        read("line ends of Windows", "every line end replaced"),
    ),
    (
        "plain.csv.gz",
        lambda path, table: path.write_bytes(table),
        read("a table called .gz that is not compressed", "plain text under this name"),
    ),
)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param(name, make, marks=mark, id=name)
        for name, make, mark in (*REFUSED_TEXTS, *READ_TEXTS)
    ],
)
def test_text_that_is_no_table_is_told(
    name: str, make: Make, screen: Path, at_once: InThisProcess
) -> None:
    make(screen.parent / name, good_table(screen))
    before = most_memory()
    at_once("validate", naming(name, screen))
    assert most_memory() - before < MOST_MORE


@refused(
    "a guide map that unpacks to ten gigabytes",
    "10 GB of rows in 30 MB of gzip",
    "too_large",
    "at most 268 MB of text",
)
def test_a_small_table_is_not_unpacked_without_end(screen: Path, at_once: InThisProcess) -> None:
    rows = ("A" * 20 + ",G (1),1,True\n").encode() * 100_000
    header = b"sgRNA,Gene,nAlignments,UsedByChronos\n"
    packed(screen.parent / "map.csv.gz", header, rows, 3000)
    before = most_memory()
    at_once("validate", naming("map.csv.gz", screen, "guide_map"))
    assert most_memory() - before < 2 * MOST_MORE


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

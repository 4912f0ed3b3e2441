"""Tables of text that unpack to, or hold, what no table does: told, in bounded memory and time.

Parquet and HDF5 are in `test_hostile_binaries.py`; what is wrong with the values of a table is in
`tests/integration/test_spoiled_tables.py`.
"""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pytest

from deployments.exit_codes import DONE
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess
from tests.faults.tables import MEGABYTE, MOST_MORE, Make, good_table, most_memory, naming, refused


def read(what: str, made: str) -> pytest.MarkDecorator:
    told = ("is valid: 0 error(s), 0 warning(s)",)
    return fault(Area.FILES, what, made=made, code=DONE, told=told, left=Left.NO_RUN)


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

"""Tables that claim, hold, point to or are called what no table is: refused in bounded memory.

What is wrong with the values of a table is in `tests/integration/test_spoiled_tables.py`.
"""

import bz2
import gzip
import io
import os
import resource
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml

from tasks.reading import table_rows
from tests.faults.catalogue import Area, marks, variants

MEGABYTE = 1 << 20
MOST_MORE = 600 * MEGABYTE
"""Memory that refusing a table may take, however large it claims to be."""
TEXT = h5py.string_dtype()
GUIDES = ["A" * 20, "C" * 20, "G" * 20, "T" * 20]
done, bad, _ = marks(Area.FILES)
VALID = "is valid: 0 error(s), 0 warning(s)"
SOUND = {"data": np.zeros((4, 3)), "dim_0": GUIDES, "dim_1": ["s1", "s2", "s3"]}
Make = Callable[[bytes], bytes]
"""From the table of the simulated screen to another content."""


def naming(table: str, screen: Path) -> Path:
    """Let the dataset file of the simulated screen name this table; return it."""
    key = "guide_map" if table.startswith("map") else "logfc"
    content = yaml.safe_load(screen.read_text(encoding="utf-8")) | {key: table}
    screen.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return screen


def packed(first: bytes, part: bytes, times: int, size: int = 16 * MEGABYTE) -> bytes:
    """Gzip of `first` and then of `size` parts, again and again: members of one file."""
    return gzip.compress(first) + gzip.compress(part * size, 9) * times


def in_parquet(columns: dict[str, Any], times: int = 1) -> bytes:
    stream, part = io.BytesIO(), pa.table(columns)
    with pyarrow.parquet.ParquetWriter(stream, part.schema, compression="zstd") as writer:
        for _ in range(times):
            writer.write_table(part)
    return stream.getvalue()


def parquet(start: int = 0, end: int = 0, **columns: Any) -> Make:
    """The same table with other columns, and with bytes that are overwritten."""

    def make(table: bytes) -> bytes:
        content = bytearray(in_parquet(dict(pd.read_csv(io.BytesIO(table))) | columns))
        content[start:end] = b"\xa5" * len(content[start:end])
        return bytes(content)

    return make


def labelled(column: str, labels: Sequence[str]) -> Make:
    """The same table with other labels: Parquet takes every label as it is."""

    def make(table: bytes) -> bytes:
        frame = pd.read_csv(io.BytesIO(table))
        new = dict(zip(frame[column].unique(), labels, strict=False))
        return in_parquet(dict(frame.replace({column: new})))

    return make


def shown(label: str) -> str:
    return label.encode("unicode_escape").decode()


def twenty_million_rows(_: bytes) -> bytes:
    numbers = pa.array(np.zeros(1_000_000))
    label = pa.DictionaryArray.from_arrays(numbers.cast("int32"), pa.array(["a"]))
    labels = dict.fromkeys(("gene", "cell_line", "guide"), label)
    return in_parquet({**labels, "logfc": numbers, "rna": numbers}, 20)


def hdf5(add: Callable[[h5py.File], object] = lambda file: None, **parts: Any) -> Make:
    """The published layout with other parts, without those that are None."""

    def make(_: bytes) -> bytes:
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            for name, part in (SOUND | parts).items():
                if isinstance(part, list):
                    file.create_dataset(name, data=part, dtype=TEXT)
                elif part is not None:
                    file[name] = part
            add(file)
        return stream.getvalue()

    return make


def values_elsewhere(file: h5py.File) -> None:
    file.create_dataset("data", (4, 3), "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual_values(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4, 3), "f8")
    layout[:] = h5py.VirtualSource("other.hdf5", "data", (4, 3))
    file.create_virtual_dataset("data", layout)


def claiming(rows: int, columns: int) -> Make:
    def add(file: h5py.File) -> None:
        chunks = (min(rows, 10**6), 1) if rows > columns else (1, 10**6)
        file.create_dataset("data", (rows, columns), "f8", chunks=chunks)
        for name, size in (("dim_0", rows), ("dim_1", columns)):
            file.create_dataset(name, (size,), TEXT, chunks=(min(size, 10**6),))

    return hdf5(add, data=None, dim_0=None, dim_1=None)


FORMULAS = ("=cmd|'/C calc'!A0", "@SUM(1)", "+1")
HARMFUL = (FORMULAS, ("-2+3", "a\nb", "a\rb"), ("\x1b[2Jx", "\u202ex", "a\0b"))
# fmt: off
CLASSES = (
    (done("Windows line ends, byte order mark, gzip in parts", VALID), (
        ("a.csv.gz", lambda table: gzip.compress(table[:999]) + gzip.compress(table[999:])),
        ("b.csv", lambda table: b"\xef\xbb\xbf" + table),
        ("c.csv", lambda table: table.replace(b"\n", b"\r\n")),
        ("d.csv.gz", bytes))),
    (done("an unusual file name", VALID), (
        ("a b'c\"d\n.csv", bytes), ("caf\u00e9e\u0301.csv", bytes), ("-rf{}%s%20#?*.csv", bytes),
        ("~nobody[red]\x1b[31mx.csv", bytes), (f"{'x' * 251}.csv", bytes))),
    (bad("a table that does not exist", "missing_file", "correct the path in the dataset file"), (
        ("[red]x[red].csv", None, "[red]x[red].csv: expected a file"),
        ("\x1b[2Jx.csv", None, r"\x1b[2Jx.csv: expected a file"),
        (f"{'x' * 300}.csv", None, "its name is too long"),
        ("a\0b.csv", None, "its name holds a NUL"),
        ("~no-such-user/a.csv", None, "~no-such-user/a.csv: expected a file"))),
    (bad("a label that a spreadsheet or terminal would execute",
         "plain_label", "spreadsheets take these"), tuple(
        ("a.parquet", labelled(column, labels), *map(shown, labels))
        for column in ("gene", "cell_line") for labels in HARMFUL)),
    (bad("a guide map that unpacks to gigabytes", "too_large"), (
        ("map.csv.gz", lambda table: packed(b"sgRNA,Gene,nAlignments,UsedByChronos\n",
                                            b"A" * 20 + b",G (1),1,True\n", 3000, 100_000),
         "at most 268 MB of text"),)),
    (bad("a small file that unpacks to gigabytes", "too_large", "at most 34 MB a line"), (
        ("a.csv.gz", lambda table: packed(b"", b"\0", 640)),
        ("b.csv.gz", lambda table: packed(table[:300], b"\0", 640)))),
    (bad("a table that is too wide", "too_large"), (
        ("a.csv", lambda table: b",".join(b"%d" % n for n in range(1_000_000)) + b"\n",
         "at most 200,000 columns"),
        ("b.csv", lambda table: table + b"a," + b"b" * (100 * MEGABYTE) + b",0,1,1\n",
         "at most 34 MB a line"))),
    (bad("a damaged compressed table"), (
        ("a.csv.gz", lambda table: gzip.compress(table) + b"garbage", "Not a gzipped file"),
        ("b.csv.gz", lambda table: gzip.compress(table)[:-200], "the compressed file ends early"),
        ("c.csv.gz", lambda table: gzip.compress(table)[:-8] + bytes(8), "CRC check failed"))),
    (bad("another format named .csv", "save"), (
        ("a.csv", lambda table: b"PK\x03\x04" + table, "wrong_format", "a zip or Excel file"),
        ("b.csv", bz2.compress, "not_utf8", "the table as UTF-8"),
        ("c.csv", lambda table: table.decode().encode("utf-16"), "not_utf8"))),
    (bad("an incomplete table"), (
        ("a.csv", lambda table: table + bytes(100_000), "truncated", "fetch the file again"),
        ("b.csv", lambda table: table.partition(b"\n")[0] + b"\n", "table_empty"),
        ("c.csv", lambda table: table.replace(b"\n", b"\r"), "a carriage return alone"))),
    (bad("a Parquet table of wrong types"), (
        ("a.parquet", parquet(gene=pa.array([["a", "b"]] * 300)), "damaged_file", "one value per"),
        ("b.parquet", parquet(logfc=pa.array([{"a": 1.0}] * 300)), "damaged_file", "one value per"),
        ("c.parquet", parquet(gene=pa.array([b"\xff\xfe"] * 300)), "damaged_file", "UTF8"),
        ("d.parquet", parquet(logfc=pa.array([0] * 300, pa.date32())), "not_a_number", "line 2"),
        ("e.parquet", lambda table: in_parquet({}), "empty_file", "it has no columns"))),
    (bad("a damaged Parquet table", "damaged_file", "fetch"), (
        ("a.parquet", parquet(50, 120)), ("b.parquet", parquet(-80, -20)))),
    (bad("twenty million rows in a small Parquet file",
             "too_large", "GB in memory"), (("a.parquet", twenty_million_rows),)),
    (bad("an HDF5 table with values in another file",
         "unknown_layout", "values stored elsewhere"), (
        ("a.hdf5", hdf5(data=h5py.ExternalLink("other.hdf5", "data"))),
        ("b.hdf5", hdf5(values_elsewhere, data=None)),
        ("c.hdf5", hdf5(virtual_values, data=None)),
        ("d.hdf5", hdf5(other=np.zeros((4, 3)), data=h5py.SoftLink("/other"))))),
    (bad("an HDF5 table that declares 10¹² rows or columns", "too_large"), (
        ("a.hdf5", claiming(10**12, 3), "at most 5,000,000 rows"),
        ("b.hdf5", claiming(3, 10**12), "at most 200,000 columns"))),
    (bad("an HDF5 table of wrong types or sizes"), (
        ("a.hdf5", hdf5(dim_0=GUIDES[:2]), "unknown_layout", "(2,)"),
        ("b.hdf5", hdf5(dim_1=np.arange(3)), "damaged_file", "string"),
        ("c.hdf5", hdf5(dim_1=[b"\xff", b"a", b"b"]), "damaged_file", "utf-8"),
        ("d.hdf5", hdf5(data=np.full((4, 3), b"1.5")), "not_a_number", "got |S3"))),
)
NO_FILES = (
    (bad("a pipe, device or folder as table or dataset file", "correct the path"), (
        (os.mkfifo, "there is a pipe"),
        (lambda path: os.mknod(path, stat.S_IFSOCK), "there is a socket"),
        (Path.mkdir, "there is a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "there is a device"),
        (lambda path: path.symlink_to(path), "its links run in a circle"),
        (lambda path: path.symlink_to(path.with_name("none")), "there is none"))),
)
# fmt: on


def most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(("name", "make", "told"), variants(CLASSES, 2))
def test_a_table_is_read_or_refused(name, make, told, screen, command, monkeypatch):
    monkeypatch.setattr(table_rows, "MAX_TABLE_BYTES", 200 * MEGABYTE)
    if make is not None:
        table = (screen.parent / "simulated_screen.csv").read_bytes()
        (screen.parent / name).write_bytes(make(table))
        (screen.parent / "other.hdf5").write_bytes(hdf5()(table))
    before = most_memory()
    command("validate", naming(name, screen), told=told)
    assert most_memory() - before < MOST_MORE


@pytest.mark.parametrize(("make", "told"), variants(NO_FILES))
def test_what_is_no_file_is_not_opened(make, told, screen, command):
    make(screen.parent / "x.csv")
    command("validate", screen.parent / "x.csv", told=told)
    command("validate", naming("x.csv", screen), told=told)

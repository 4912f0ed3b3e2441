"""What the first bytes and lines of a file show: its kind, its delimiter, its header."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from schemas.tables.containers import TableFormatError, TableName
from schemas.tables.layouts import SUFFIXES, UNNAMED

# Of pandas, R (`write.csv`, `data.table`, `readr`, `tibble`), R reading pandas, and Spark.
_UNNAMED_ALIASES = (
    *("Unnamed: 0", "__index_level_0__", "index", "Unnamed..0", "_c0"),
    *("X", "V1", "X1", "...1", "rn", "rowname", "rownames", "row_names", "row.names", "Row.names"),
)
_R_GENE = re.compile(r"([\w.]+?)\.\.(\d+)\.", re.ASCII)
"""`SOX10..6663.`, which R makes of `SOX10 (6663)`."""

_BOM = b"\xef\xbb\xbf"
_LFS = re.compile(rb"version https?://\S+\s+(?:ext-.*\s+)*oid \w+:\w+\s+size (\d+)")
_ANNEX = re.compile(rb"(?:\.\./)*(?:\.git/annex|/annex)/objects/\S+\s*$")


def check_kind(table: TableName, location: str, head: bytes) -> None:
    """Raise an error where a file begins with something that stands in place of a table.

    Raises:
        TableFormatError: `html_page` or `pointer_file`.
    """
    start = head.removeprefix(_BOM).lstrip()
    if start[:14].lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        raise TableFormatError(
            table,
            location,
            "html_page",
            f"expected a table, got a web page that begins {start[:40].decode(errors='replace')!r}",
            "download the file itself; a login or error page was saved under its name",
        )
    of_lfs = _LFS.match(start)
    if of_lfs or _ANNEX.match(start):
        what = f"a Git LFS pointer to {int(of_lfs[1]):,} bytes" if of_lfs else "a git-annex pointer"
        command = "git lfs pull" if of_lfs else "git annex get"
        raise TableFormatError(
            table,
            location,
            "pointer_file",
            f"expected a table, got {what} stored elsewhere",
            f"fetch the content: run `{command}` in the repository, or download the file itself",
        )


def delimiter_of(header: bytes, suffix: str) -> str:
    """Return the delimiter of a header: that of the suffix of its file, or the one it has."""
    usual, other = (",", "\t") if suffix.startswith(".csv") else ("\t", ",")
    return other if other.encode() in header and usual.encode() not in header else usual


def check_head(table: TableName, location: str, head: bytes) -> None:
    """Raise an error where the first bytes are not those of a text table with commas or tabs.

    Raises:
        TableFormatError: `empty_file`, `html_page`, `pointer_file`, `wrong_format`,
            `wrong_delimiter` or `repeated_header`.
    """

    def refuse(rule: str, message: str, remedy: str) -> TableFormatError:
        return TableFormatError(table, location, rule, message, remedy)

    start = head.removeprefix(_BOM).lstrip()
    if not start:
        raise refuse("empty_file", "expected a table, the file is empty", "fetch it again")
    check_kind(table, location, start)
    for magic, what in (
        (b"PK\x03\x04", "a zip or Excel"),
        (b"PAR1", "a Parquet"),
        (b"\x89HDF", "an HDF5"),
    ):
        if start.startswith(magic):
            raise refuse(
                "wrong_format",
                f"expected text separated by commas or tabs, got {what} file",
                f"save it as CSV or give it its own suffix ({', '.join(SUFFIXES)} are read)",
            )
    lines = start.split(b"\n", 2)
    if b";" in lines[0] and not re.search(rb"[,\t]", lines[0]):
        raise refuse(
            "wrong_delimiter",
            "expected columns separated by commas or tabs, the header has semicolons",
            "save the table with commas or tabs, and decimals with a point",
        )
    if len(lines) == 3 and lines[0] == lines[1]:
        raise refuse("repeated_header", "the header is on lines 1 and 2", "delete one of them")


def is_above_header(line: bytes) -> bool:
    """Whether a line before the header is empty, but for delimiters, or names the delimiter."""
    text = line.removeprefix(_BOM).strip(b' \t\r\n,;"')
    return line.endswith(b"\n") and re.fullmatch(rb"(sep=)?", text) is not None


def is_padded(header: bytes, delimiter: str = ",") -> bool:
    """Whether blanks stand beside every delimiter of the header, so that they belong to it."""
    _, *others = header.removeprefix(_BOM).rstrip(b"\r\n").split(delimiter.encode())
    return bool(others) and all(name != name.strip(b" ") for name in others)


def without_padding(lines: bytes, delimiter: str = ",") -> bytes:
    """Return whole lines without the blanks beside delimiters and line ends."""
    ends = rb" *(%s|\r?\n) *" % re.escape(delimiter.encode())
    lines = lines.lstrip(b" ")
    if b'"' not in lines:
        return re.sub(ends, rb"\1", lines)
    quoted = rb'("(?:[^"]|"")*")|' + ends
    return re.sub(quoted, lambda found: found[1] or found[2], lines)


def parse_header(
    table: TableName, location: str, line: bytes, delimiter: str = ","
) -> tuple[str, ...]:
    """Return the column names of a line, by `name_columns`.

    Raises:
        TableFormatError: `not_utf8` or `damaged_file`.
    """
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableFormatError(
            table,
            location,
            "not_utf8",
            f"expected UTF-8 text, the header has the byte {line[error.start]:#04x}",
            "save the table as UTF-8",
        ) from None
    try:
        names = next(csv.reader([text], delimiter=delimiter)) or [UNNAMED]
    except csv.Error:
        raise TableFormatError(
            table,
            location,
            "damaged_file",
            "expected lines that end with a line feed, the header has a carriage return alone",
            "save the table as plain CSV",
        ) from None
    return name_columns(names)


def lacks_row_labels(n_columns: int, row: bytes, delimiter: str = ",") -> bool:
    """Whether the first row has a value more than the header, as R's `write.table` writes it."""
    try:
        values = next(csv.reader([row.decode(errors="replace")], delimiter=delimiter), [])
    except csv.Error:
        return False
    return len(values) == n_columns + 1 and values[-1].strip() != ""


def name_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names: `UNNAMED` for names that libraries give to an unnamed first column.

    Labels of genes that R has changed are written `SYMBOL (ENTREZ)` again; dots of a symbol remain.
    """
    first, *others = names
    labels = (_R_GENE.sub(r"\1 (\2)", name) if name.endswith(".") else name for name in others)
    return (UNNAMED if first in _UNNAMED_ALIASES else first, *labels)

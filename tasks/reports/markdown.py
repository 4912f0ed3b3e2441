"""Markdown helpers: tables, links, and escaping of text from files."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

_MARKS = re.compile(r"[\\`*\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Marks of emphasis, code and links, without underscores inside words."""
_FIRST = re.compile(r"^([#>]|[-+](?=[-+ ]|$)|\d+(?=[.)]( |$)))")
"""Starts of headings, quotations and lists."""
_NUMBER = re.compile(r"([<>] )?[+-]?[\d,]*\.?\d+ ?%?|")
"""Cells of a column that is set to the right."""
_HTML = re.compile(r"<(?=[A-Za-z/!?])|&(?=[A-Za-z#])")


def as_text(words: str) -> str:
    """Return `words` on one line, escaped so that Markdown and HTML in them show as text.

    Labels of genes and cell lines, and values of invalid tables, may look like links or HTML.
    """
    text = _MARKS.sub(r"\\\g<0>", " ".join(words.split()))
    text = _FIRST.sub(lambda mark: f"{mark[0]}\\" if mark[0].isdigit() else f"\\{mark[0]}", text)
    # Entities: not every renderer supports a backslash before these.
    return _HTML.sub(lambda mark: "&lt;" if mark[0] == "<" else "&amp;", text)


def link_to(title: str, where: str) -> str:
    """Return a link to a page of MLflow, or the command that serves it."""
    return f"[{title}]({where})" if where.startswith("http") else f"MLflow: {where}"


def markdown_row(cells: Iterable[str]) -> str:
    """Return a row of a table in Markdown; marks in cells are not escaped, except |."""
    return f"| {' | '.join(cell.replace('|', '\\|').replace('\n', ' ') for cell in cells)} |"


def markdown_head(header: Sequence[str], right: Container[int] = ()) -> list[str]:
    """Return the first two lines of a table in Markdown; columns `right` are set to the right."""
    marks = ["---:" if column in right else "---" for column in range(len(header))]
    return [markdown_row(header), markdown_row(marks)]


def markdown_table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a table in Markdown with escaped cells, numbers to the right."""
    cells = [list(row) for row in rows]
    right = {
        column
        for column in range(len(header))
        if any(row[column] for row in cells)
        and all(_NUMBER.fullmatch(row[column]) for row in cells)
    }
    words = (markdown_row(map(as_text, row)) for row in cells)
    return [*markdown_head(header, right), *words]

"""Markdown of ours: rows of tables, and words that came with a file, which stay words.

What is said is in the modules `render_*`; pages are shown by Prefect and MLflow, and in terminals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKS = re.compile(r"[\\`*\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What makes emphasis, code and links; an underscore within a word does not."""
_FIRST = re.compile(r"^([#>]|[-+](?=[-+ ]|$)|\d+(?=[.)]( |$)))")
"""What makes a heading, a quotation or a list of a line that begins with it."""
_HTML = re.compile(r"<(?=[A-Za-z/!?])|&(?=[A-Za-z#])")


def as_text(words: str) -> str:
    """Return words on one line, so that whatever they hold is shown and does nothing.

    A gene, a cell line or a cell of a refused table may look like a link, a picture or HTML.
    """
    text = _MARKS.sub(r"\\\g<0>", " ".join(words.split()))
    text = _FIRST.sub(lambda mark: f"{mark[0]}\\" if mark[0].isdigit() else f"\\{mark[0]}", text)
    # As entities: not every reader of Markdown takes a backslash before these.
    return _HTML.sub(lambda mark: "&lt;" if mark[0] == "<" else "&amp;", text)


def link_to(title: str, where: str) -> str:
    """Return a link to a page of MLflow; the command, where it has to be served first."""
    return f"[{title}]({where})" if where.startswith("http") else f"MLflow: {where}"


def markdown_row(cells: Iterable[str]) -> str:
    """Return a row of a table in Markdown, whatever the cells hold; marks in them are marks."""
    return f"| {' | '.join(cell.replace('|', '\\|').replace('\n', ' ') for cell in cells)} |"


def markdown_head(header: Sequence[str]) -> list[str]:
    """Return the first two lines of a table in Markdown."""
    return [markdown_row(header), markdown_row(("---",) * len(header))]


def markdown_table(header: tuple[str, ...], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a table in Markdown whose cells are words."""
    words = (markdown_row(map(as_text, row)) for row in rows)
    return [*markdown_head(header), *words]

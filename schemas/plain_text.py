"""Text that came with a file, made fit to be shown: terminals obey what stands in it.

What labels may be is a rule of the tables (`schemas.tables`).
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

MOST_CHARACTERS = 2000
"""Characters of a text that are shown: one cell of a table may hold a gigabyte."""


def visible(text: str, keep: str = "") -> str:
    r"""Return the text with what cannot be printed written out: an escape as `\x1b`.

    Escape sequences clear a screen or rename a window, and marks of direction turn a line around.
    Characters of `keep` stay, as line breaks of a message of ours.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


def is_plain_label(text: str) -> bool:
    """Whether a label can be shown in a terminal and opened in a spreadsheet, and stays a label.

    Labels stand in the tables that are written for others. One that begins with any of = + - @ is
    computed by the spreadsheet that opens it (OWASP, CSV injection).
    """
    if text.lstrip().startswith(("=", "+", "-", "@")):
        return False
    return text.isprintable() or not any(unicodedata.category(char) in _OBEYED for char in text)


_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control characters, marks of direction, halves of characters, ends of lines and paragraphs."""


def _shown(text: str) -> str:
    return visible(text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ...")


ShownText = Annotated[str, AfterValidator(_shown)]
"""Text of a report that came with a file: on one line, visible, and not without end."""

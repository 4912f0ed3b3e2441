"""Text that came with a file, made fit to be shown: terminals obey what stands in it.

What labels may be is a rule of the tables (`schemas.tables`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

MOST_SHOWN = 2000
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


def _shown(text: str) -> str:
    return visible(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} ...")


ShownText = Annotated[str, AfterValidator(_shown)]
"""Text of a report that came with a file: on one line, visible, and not without end."""

"""Formatting for people: labels that are safe to print, probabilities limited by their draws."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, ValidationError

MOST_CHARACTERS = 2000
"""Characters of a text that are shown: a single value of a table may have a gigabyte."""


def escape_unprintable(text: str, keep: str = "") -> str:
    r"""Return the text with unprintable characters escaped, such as `\x1b`.

    Escape sequences can clear a screen or rename a window; direction marks can reverse a line.
    Characters of `keep` stay, such as line breaks of our own messages.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


def is_plain_label(text: str) -> bool:
    """Whether a label is safe in a terminal and in a spreadsheet.

    A spreadsheet evaluates a label that begins with any of = + - @ (OWASP, CSV injection).
    """
    if text.lstrip().startswith(("=", "+", "-", "@")):
        return False
    return text.isprintable() or not any(unicodedata.category(char) in _UNSAFE for char in text)


_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories: control, format, surrogate, line separator, paragraph separator."""


def _shown(text: str) -> str:
    return escape_unprintable(
        text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ..."
    )


ShownText = Annotated[str, AfterValidator(_shown)]
"""Text from a file, shown in a report: escaped, on one line, of limited length."""


def format_probability(value: float, n_draws: int) -> str:
    """Return a share of draws, or a mean of shares, with the decimals that `n_draws` support.

    A share of 0 or 1 of S draws is shown as `< 1/S` or `> 1 - 1/S`.
    """
    if math.isnan(value):
        return "not known"
    decimals, least = max(3, math.ceil(math.log10(n_draws))), 1 / n_draws
    nearly = least * (1 - 1e-6)  # 1 - (1 - 1/S) is a little below 1/S
    if value < nearly:
        return f"< {least:.{decimals}f}"
    return f"> {1 - least:.{decimals}f}" if value > 1 - nearly else f"{value:.{decimals}f}"


def format_p_value(value: float, n_draws: int) -> str:
    """Return a p-value, a share of draws, as `p = 0.310` or `p < 0.002`."""
    words = format_probability(value, n_draws)
    return f"p {words}" if words[0] in "<>" else f"p = {words}"


def format_duration(seconds: float) -> str:
    """Return an expected time as text: about 40 s, about 27 min."""
    if seconds < 100:
        return f"about {math.ceil(seconds)} s"
    return f"about {math.ceil(seconds / 60)} min"


def label_line(cell_line: str, name: str) -> str:
    """Return the id of a cell line with its name, which may be empty: `ACH-000004 (HEL)`."""
    return f"{cell_line} ({name})" if name and name != cell_line else cell_line


def format_setting(name: str, value: object) -> str:
    """Return the value of a flat setting; an empty filter is `all`, or `none` of what is left out.

    >>> format_setting("filters.without_cell_lines", "")
    'none'
    """
    if value == "":
        return "none" if "without" in name else "all"
    return str(value)


def list_first(names: Sequence[str], most: int) -> str:
    """Return the first names, at most `most`, joined by commas, and how many there are more."""
    more = f", and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def setting_problems(error: ValidationError) -> list[str]:
    """Return each problem of a pydantic error as `setting: what is wrong, got VALUE`."""
    return [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}, got {one['input']!r}"
        for one in error.errors()
    ]


def cut_list(text: str, most: int) -> str:
    """Return a list joined by commas in at most `most` characters, cut after a whole item.

    The end of a list that is cut says how many items are left out.
    """
    if len(text) <= most:
        return text
    items = text.split(", ")
    while len(items) > 1:
        items.pop()
        short = f"{', '.join(items)} ... and {text.count(', ') + 1 - len(items):,} more"
        if len(short) <= most:
            return short
    return f"{text[: most - 4]} ..."

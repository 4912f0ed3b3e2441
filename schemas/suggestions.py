"""What a mistyped name may mean, and short forms of run ids."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

SIMILAR = 0.8
"""Least similarity (`difflib`) of a suggestion: `24Q2` is none for `25Q4`, `SOX10` one for
`SOX11`."""
SHORTEST_ID = 8
"""Fewest characters of a run id that are shown."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean NAME?` with the known name closest to `name`; empty if none is near.

    Capitals do not count:

        >>> suggestion("sox10 ", ["SOX10", "SOX9"])
        '; did you mean SOX10?'
    """
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.strip().casefold(), folded, n=1, cutoff=SIMILAR)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def short_ids(ids: Sequence[str]) -> list[str]:
    """Return the first characters of each id, as many as distinguish all of them, at least 8."""
    for length in range(SHORTEST_ID, max(map(len, ids), default=0)):
        short = [one[:length] for one in ids]
        if len(set(short)) == len(set(ids)):
            return short
    return list(ids)

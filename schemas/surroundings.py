"""What was found of the surroundings of a command, one thing at a time. Looking is not here."""

from __future__ import annotations

from typing import Literal

from schemas.frozen import Frozen

LookStatus = Literal["ok", "warning", "trouble"]
"""`warning`: works, but not as well as it could; `trouble`: something will fail."""


class Looked(Frozen):
    """One thing that was looked at."""

    what: str
    """The part of the surroundings, in a word or two."""
    status: LookStatus
    found: str
    mend: str = ""
    """What to do; nothing where nothing is to be done."""

"""Result of one check of the environment."""

from __future__ import annotations

from typing import Literal

from schemas.base import Frozen

HealthStatus = Literal["ok", "warning", "trouble"]
"""`warning`: works, but not as well as it could; `trouble`: something will fail."""


class HealthCheck(Frozen):
    """One check of the environment."""

    what: str
    """The part that was checked, in a word or two."""
    status: HealthStatus
    found: str
    remedy: str = ""
    """What to do; empty where nothing is needed."""

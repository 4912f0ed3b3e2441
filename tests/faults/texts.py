"""Texts that are no settings and no dataset file, and the mark of tests that give them."""

from __future__ import annotations

import pytest

from deployments.exit_codes import BAD_INPUT
from tests.faults.catalogue import Area, Left, fault

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
"""Billions of letters, if it were written out."""
NAMED = "a name for a part (& or *)"


def bad(what: str, made: str, *told: str) -> pytest.MarkDecorator:
    """A dataset file, a setting or an option that is refused before anything is written."""
    return fault(Area.SETTINGS, what, made=made, code=BAD_INPUT, told=told, left=Left.AS_BEFORE)

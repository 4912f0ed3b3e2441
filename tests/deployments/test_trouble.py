"""What the surroundings did, in a line."""

from __future__ import annotations

import pytest

from deployments.command_line import _trouble


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_memory_that_is_gone_is_said_so_however_python_says_it(error: Exception) -> None:
    said = _trouble(error)
    assert said is not None and said.startswith("memory: there was not enough (")


def test_a_defect_of_ours_is_no_trouble() -> None:
    assert _trouble(RuntimeError("of ours")) is None

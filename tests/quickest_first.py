"""A pytest plugin for mutants: quick files of tests first, no long test, nothing loaded twice.

mutmut stops at the first test that fails, but gives the tests in no order. How long each takes it
has measured, and left in the folder that the mutants stand in. Of a fixture that several tests
share it knows the first test only; the others are told it here.
"""

from __future__ import annotations

import gc
import json
import os
from collections import Counter, defaultdict
from collections.abc import Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from mutmut.state import state

# A process tests one mutant and ends; a collection would copy all that it shares with its parent.
gc.disable()

LONGEST = 5.0
"""Seconds a test may take that is run for every mutant."""

_passed: defaultdict[pytest.FixtureDef[Any], set[str]] = defaultdict(set)
"""The functions that making a fixture passes through."""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Note what making a fixture passes through."""
    passed = state()._stats
    before = set(passed)
    passed.clear()
    try:
        return (yield)
    finally:
        _passed[fixturedef] |= passed
        passed |= before


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Count the functions of a test's fixtures as its own, whichever test had them made."""
    for definitions in item._fixtureinfo.name2fixturedefs.values():  # type: ignore[attr-defined]
        for one in definitions:
            state()._stats |= _passed[one]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests of one mutant by the time of their files, and leave out those too long."""
    measured = Path("mutmut-stats.json")
    if "__mutmut_" not in os.environ.get("MUTANT_UNDER_TEST", "") or not measured.exists():
        return
    durations: dict[str, float] = json.loads(measured.read_text())["duration_by_test"]
    seconds = {item: durations.get(item.nodeid, 0.0) for item in items}
    long = [item for item in items if seconds[item] > LONGEST]
    config.hook.pytest_deselected(items=long)
    kept = [item for item in items if seconds[item] <= LONGEST]
    of_file: Counter[Path] = Counter()
    for item in kept:
        of_file[item.path] += seconds[item]  # type: ignore[assignment]
    items[:] = sorted(kept, key=lambda item: (of_file[item.path], item.path, seconds[item]))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Run the tests once in the process from which those of the mutants are forked.

    mutmut has it collect them, no more. What libraries load at first use (JAX, Numba, Dask), and
    what they compile, each mutant would load and compile anew.
    """
    if session.config.option.collectonly and os.environ.get("MUTANT_UNDER_TEST") == "":
        for item, following in pairwise([*session.items, None]):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

"""Every rule of the contract refuses some spoiled table, and its message stays what it is.

The messages are in `messages.txt`; SCREENBAYES_UPDATE_SNAPSHOTS=1 writes them again.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import random
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import schemas
from schemas.findings import Rule
from schemas.parameters import FitParameters, Preparation
from schemas.reports import Finding
from tasks.validate import validate
from tests.property.releases import Release
from tests.spoiled.spoil import Spoil, complete_release, long_release, with_profiles
from tests.spoiled.spoils import SPOILS

PARAMETERS = FitParameters(preparation=Preparation(min_cell_lines_per_gene=3))
MESSAGES = Path(__file__).with_name("messages.txt")
PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
# The tables of files always have the columns of their layout: `tests/schemas/test_tables.py`.
NOT_OF_FILES = {"column_missing"}


def findings_of(release: Release) -> tuple[Finding, ...]:
    with TemporaryDirectory() as folder:
        checked = validate(release.write(Path(folder)), PARAMETERS)
        assert (
            (checked.screen is None) == (checked.statistics is None) == (not checked.report.passed)
        )
        return tuple(
            one.model_copy(update={"found": tuple(f.replace(f"{folder}/", "") for f in one.found)})
            for one in checked.report.findings
        )


@cache
def answer(spoil: Spoil) -> tuple[tuple[Finding, ...], str]:
    """Return the findings of a spoiled release, and what they must name."""
    sound = complete_release()
    if spoil.anywhere:  # the lists and the model table are beside the point
        sound = replace(sound, others={})
    release, place = spoil.change(sound, random.Random(spoil.name))
    return findings_of(release), place


def message(spoil: Spoil) -> str:
    """Return on one line the finding that answers a spoil in full, and the rules of the others."""
    findings, place = answer(spoil)
    answers = [one for one in findings if spoil.is_answered_by(one, place)]
    others = sorted(f"{one.table}: {one.rule}" for one in findings if one not in answers)
    said = [
        f"{one.severity} in {one.table}, {one.column or 'no column'}: {one.rule}: expected "
        f"{one.expected}; {one.count} found: {'; '.join(one.found[:3])}; {one.mend}"
        for one in answers
    ]
    return f"{spoil}: {' AND '.join(said)} {others or ''}".rstrip()


@pytest.mark.parametrize(
    "release", [complete_release(), with_profiles(complete_release()), long_release()]
)
def test_a_sound_release_has_no_finding(release: Release):
    assert findings_of(release) == ()


@pytest.mark.parametrize("spoil", SPOILS, ids=str)
def test_a_spoiled_table_is_answered_by_its_rule(spoil: Spoil):
    findings, place = answer(spoil)
    assert any(spoil.is_answered_by(one, place) for one in findings), (place, findings)


def test_every_rule_is_broken_by_some_spoiled_table():
    modules = [
        importlib.import_module(f"schemas.{module.name}")
        for module in pkgutil.iter_modules(schemas.__path__)
    ]
    of_contract = {
        rule.name for module in modules for rule in vars(module).values() if isinstance(rule, Rule)
    }
    of_files = set(re.findall(r"^\| `(\w+)`", PAGE.read_text("utf-8"), re.MULTILINE))
    assert {spoil.rule for spoil in SPOILS} == (of_contract | of_files) - NOT_OF_FILES
    assert len({spoil.name for spoil in SPOILS}) == len(SPOILS)


def test_the_messages_of_all_spoiled_tables_are_as_recorded():
    messages = [message(spoil) for spoil in SPOILS]
    if os.environ.get("SCREENBAYES_UPDATE_SNAPSHOTS"):
        MESSAGES.write_text("\n".join([*messages, ""]), "utf-8")
    assert messages == MESSAGES.read_text("utf-8").splitlines()

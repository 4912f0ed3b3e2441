"""Every rule of the contract refuses some spoiled table, and its message stays what it is.

The messages are in `messages.txt`; SCREENBAYES_UPDATE_SNAPSHOTS=1 writes them again.
"""

import importlib
import os
import pkgutil
import random
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import schemas.tables
from schemas.parameters import FitParameters, Preparation
from schemas.reports import Finding
from schemas.tables.rule import Rule
from tasks.reading.validate import ValidatedScreen, validate
from tests.property.releases import Release
from tests.spoiled.odd import ODD, Odd
from tests.spoiled.spoil import Spoil, complete_release, long_release, with_profiles
from tests.spoiled.spoils import SPOILS

PARAMETERS = FitParameters(preparation=Preparation(min_cell_lines_per_gene=3))
MESSAGES = Path(__file__).with_name("messages.txt")
PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
# The tables of files always have the columns of their layout: `tests/schemas/tables/test_maps.py`.
NOT_OF_FILES = {"column_missing"}


def findings_of(release: Release, folder: Path) -> list[Finding]:
    checked = validate(release.write(folder), PARAMETERS)
    assert (checked.screen is None) == (checked.statistics is None) == (not checked.report.passed)
    return list(checked.report.findings)


def message(spoil: Spoil, folder: Path) -> str:
    """Return on one line the finding that answers a spoil in full, and the rules of the others."""
    release, place = spoil.change(complete_release(), random.Random(spoil.name))
    findings = findings_of(release, folder)
    answers = [one for one in findings if spoil.is_answered_by(one, place)]
    assert answers, (place, findings)
    others = sorted(f"{one.table}: {one.rule}" for one in findings if one not in answers)
    said = [
        f"{one.severity} in {one.table}, {one.column or 'no column'}: {one.rule}: expected "
        f"{one.expected}; {one.count} found: {'; '.join(one.found[:3])}; {one.remedy}"
        for one in answers
    ]
    return f"{spoil}: {' AND '.join(said)} {others or ''}".rstrip().replace(f"{folder}/", "")


@pytest.mark.parametrize("change", [replace, with_profiles, long_release])
def test_a_sound_release_has_no_finding(change, tmp_path: Path):
    assert findings_of(change(complete_release()), tmp_path) == []


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_an_odd_table_is_read_as_the_sound_one(odd: Odd, tmp_path: Path):
    def read(release: Release, folder: str) -> ValidatedScreen:
        (tmp_path / folder).mkdir()
        return validate(release.write(tmp_path / folder), PARAMETERS)

    sound, found = read(complete_release(), "sound"), read(odd.change(complete_release()), "odd")
    assert tuple(one.rule for one in found.report.findings) == odd.rules
    assert sound.statistics is not None and found.statistics is not None
    assert found.screen is not None and sound.screen is not None
    pd.testing.assert_frame_equal(found.statistics.selection.rna, sound.statistics.selection.rna)
    assert (found.statistics.total == sound.statistics.total).all()
    known = [gene for gene in sound.screen.nonessential if gene != "X (99)"]  # in no other table
    assert list(found.screen.nonessential)[: len(known)] == known
    copies, expected = found.screen.covariates, sound.screen.covariates
    pd.testing.assert_frame_equal(copies["copy_number"].values, expected["copy_number"].values)


@pytest.mark.parametrize("spoil", SPOILS, ids=str)
def test_a_spoiled_table_is_answered_by_its_rule_with_the_recorded_message(spoil, tmp_path):
    found = message(spoil, tmp_path)
    if not os.environ.get("SCREENBAYES_UPDATE_SNAPSHOTS"):
        assert found in MESSAGES.read_text("utf-8").splitlines()


def test_every_rule_is_documented_once_and_broken_by_some_spoiled_table(tmp_path: Path):
    modules = [
        importlib.import_module(f"schemas.tables.{module.name}")
        for module in pkgutil.iter_modules(schemas.tables.__path__)
    ]
    of_contract = {
        rule.name for module in modules for rule in vars(module).values() if isinstance(rule, Rule)
    }
    documented = re.findall(r"^\| `(\w+)`", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted({spoil.rule for spoil in SPOILS} | NOT_OF_FILES)
    assert of_contract <= set(documented)
    if os.environ.get("SCREENBAYES_UPDATE_SNAPSHOTS"):
        MESSAGES.write_text("".join(f"{message(one, tmp_path)}\n" for one in SPOILS), "utf-8")
    recorded = [line.partition(": ")[0] for line in MESSAGES.read_text("utf-8").splitlines()]
    assert recorded == [spoil.name for spoil in SPOILS] and len(set(recorded)) == len(recorded)

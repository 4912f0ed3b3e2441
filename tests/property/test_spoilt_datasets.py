"""A sound dataset with something spoilt is refused: the table, the rule and the place are named."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.reports import Finding
from tasks.validate import ValidatedScreen, validate
from tests.property.releases import LOOSE, Release, examples, releases
from tests.property.spoils import SPOILS, Spoil

seeds = st.integers(0, 2**32 - 1)
sound_releases = releases(shares_missing=(0.0,))


def validated(of: Release, folders: pytest.TempPathFactory) -> ValidatedScreen:
    return validate(of.write(folders.mktemp("spoilt")), LOOSE)


def answers(finding: Finding, spoil: Spoil, place: str) -> bool:
    """Whether a finding is the one that a spoil asks for."""
    return (
        (finding.table, finding.rule) == (spoil.reported_of, spoil.rule)
        and spoil.column in ("", finding.column)
        and any(place in found for found in finding.found)
        and bool(finding.expected and finding.mend)
    )


@examples(3)
@given(drawn=sound_releases)
def test_what_is_drawn_is_sound(tmp_path_factory: pytest.TempPathFactory, drawn: Release):
    checked = validated(drawn, tmp_path_factory)
    assert not checked.report.errors
    assert checked.screen is not None


@pytest.mark.parametrize("spoil", SPOILS, ids=str)
@examples(2)
@given(drawn=sound_releases, seed=seeds)
def test_one_spoil_is_refused_by_its_rule_and_place(
    tmp_path_factory: pytest.TempPathFactory, spoil: Spoil, drawn: Release, seed: int
):
    spoilt, place = spoil.way(drawn, random.Random(seed))
    checked = validated(spoilt, tmp_path_factory)
    assert checked.screen is None
    assert checked.statistics is None
    errors = checked.report.errors
    assert any(answers(error, spoil, place) for error in errors), (place, errors)
    assert all(spoil.table in error.table.split("+") for error in errors), errors


@examples(8)
@given(drawn=sound_releases, seed=seeds, n_tables=st.integers(2, 4))
def test_spoils_of_several_tables_are_all_told_at_once(
    tmp_path_factory: pytest.TempPathFactory, drawn: Release, seed: int, n_tables: int
):
    source = random.Random(seed)
    tables = source.sample(["logfc", "guide_map", "sequence_map", "rna"], n_tables)
    spoils = [
        source.choice([spoil for spoil in SPOILS if spoil.alone and spoil.table == table])
        for table in tables
    ]
    spoilt, places = drawn, []
    for spoil in spoils:
        spoilt, place = spoil.way(spoilt, source)
        places.append(place)
    errors = validated(spoilt, tmp_path_factory).report.errors
    for spoil, place in zip(spoils, places, strict=True):
        assert any(answers(error, spoil, place) for error in errors), (str(spoil), place, errors)


def test_every_table_is_spoilt_in_many_ways():
    assert len({str(spoil) for spoil in SPOILS}) == len(SPOILS) >= 30
    assert {spoil.table for spoil in SPOILS} == {"logfc", "guide_map", "sequence_map", "rna"}

"""Whatever is spoiled in some tables of any release, all of it is reported at once."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.validate import validate
from tests.property.releases import LOOSE, SMALL, Release, examples, releases
from tests.spoiled.spoils import SPOILS

BY_TABLE = {
    table: [spoil for spoil in SPOILS if spoil.anywhere and spoil.table == table] for table in SMALL
}


@examples(12)
@given(
    sound=releases(shares_missing=(0.0,)),
    seed=st.integers(0, 2**32 - 1),
    n_tables=st.integers(0, len(SMALL)),
)
def test_spoils_of_several_tables_are_all_reported_at_once(
    tmp_path_factory: pytest.TempPathFactory, sound: Release, seed: int, n_tables: int
):
    source = random.Random(seed)
    tables = source.sample(SMALL, n_tables)
    spoils = [source.choice(BY_TABLE[table]) for table in tables]
    spoiled, places = sound, []
    for spoil in spoils:
        spoiled, place = spoil.change(spoiled, source)
        places.append(place)
    checked = validate(spoiled.write(tmp_path_factory.mktemp("release")), LOOSE)
    assert (checked.screen is None) == (checked.statistics is None) == bool(spoils)
    errors = checked.report.errors
    for spoil, place in zip(spoils, places, strict=True):
        assert any(spoil.is_answered_by(one, place) for one in errors), (spoil, place, errors)
    assert all(set(error.table.split("+")) & set(tables) for error in errors), errors

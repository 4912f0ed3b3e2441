"""The screen that sound tables make: every one of them, in its types, its rows counted from 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from schemas.screen import RawRna
from schemas.tables import CheckedTables
from tests.schemas.test_tables import check, guide_map, raw, sequence_map, source


def sound() -> CheckedTables:
    lines = pd.RangeIndex(2, 4)
    cell_lines = ["ACH-000001", "ACH-000002"]
    return check(
        guide_map=guide_map(),
        sequence_map=sequence_map(),
        rna=RawRna(
            source("rna"),
            pd.DataFrame(
                {"profile": ["PR-1", "PR-2"], "cell_line": cell_lines, "is_default": "Yes"},
                index=lines,
                dtype="object",
            ),
            pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], lines, [" SOX10 (6663)", "HLA-A (3105)"]),
        ),
        model_table=raw("model_table", cell_line=[*cell_lines], lineage=["Skin", "Lung"]),
        essential=raw("essential", gene=["A (1)"]),
        nonessential=raw("nonessential", gene=["B (2)", "C (3)"]),
        expression_addictions=raw("expression_addictions", gene=["SOX10 (6663)"]),
    )


def test_a_screen_has_every_table_with_rows_from_0() -> None:
    tables = sound()
    assert tables.findings == ()
    screen = tables.screen()
    for name in ("guide_map", "sequence_map", "profiles", "rna", "model_table"):
        table, of_screen = getattr(tables, name), getattr(screen, name)
        assert table.index[0] == 2
        pd.testing.assert_frame_equal(of_screen, table.set_axis(range(len(table))))
    assert screen.rna.columns.tolist() == ["SOX10 (6663)", "HLA-A (3105)"]
    assert screen.essential == ("A (1)",)
    assert screen.nonessential == ("B (2)", "C (3)")
    assert screen.expression_addictions == ("SOX10 (6663)",)


def test_a_screen_may_do_without_a_model_table() -> None:
    assert replace(sound(), model_table=None).screen().model_table is None


@pytest.mark.parametrize("name", ["guide_map", "sequence_map", "profiles", "rna"])
def test_a_screen_needs_each_of_the_others(name: str) -> None:
    missing: dict[str, Any] = {name: None}
    with pytest.raises(ValueError, match=r"^a screen needs guide map, sequence map and RNA, all"):
        replace(sound(), **missing).screen()

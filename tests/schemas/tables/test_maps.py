"""What each small table may hold, how its text is parsed, and what is reported of it."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from schemas.tables.containers import (
    GUIDE_MAP_COLUMNS,
    PROFILE_COLUMNS,
    SEQUENCE_MAP_COLUMNS,
    RawProfiles,
    RawScreen,
    RawTable,
    TableName,
    TableSource,
)
from schemas.tables.maps import CheckedTables, check_tables
from schemas.tables.rule import Rule

Column = list[str | None]
GUIDES: Column = ["ACGTACGTACGTACGTACGT", "CCGTACGTACGTACGTACG", "GCGTACGTACGTACGTACGTACG"]
SOUND: dict[str, dict[str, Column]] = {
    "guide_map": {
        "guide": GUIDES,
        "gene": ["SOX10 (6663)", "SOX10 (6663)", "HLA-A (3105)"],
        "n_alignments": ["1.0", "1", "2"],
        "used": ["TRUE", "1", "false"],
    },
    "sequence_map": {
        "sequence": ["HB11;19 rep A", "HB11;19 rep B", "pDNA_1"],
        "cell_line": ["ACH-000001", "ACH-000001", None],
        "screen_type": ["2DS", "3DO", "pDNA"],
        "library": ["Avana", "KY", "Avana"],
        "passes_qc": ["True", "False", "True"],
        "excluded": ["0", "Yes", None],
    },
    "rna": {
        "profile": ["PR-1", "PR-2", "PR-3"],
        "cell_line": ["ACH-000001", "ACH-000002", "ACH-000002"],
        "is_default": ["Yes", "No", "Yes"],
    },
    "model_table": {
        "cell_line": ["ACH-000001", "ACH-000002", "ACH-000003"],
        "lineage": ["Skin", None, "Lung"],
    },
    "essential": {"gene": ["POLR2A (5430)", " RPL3 (6122)"]},
}


def source(table: TableName, layout: str = "current") -> TableSource:
    return TableSource(table, f"{table}.csv", layout, "0" * 64)


def raw(table: TableName, layout: str = "current", **columns: Column) -> RawTable | RawProfiles:
    """A table whose first row stands on line 2; RNA has the values 1, 2, ... of one gene."""
    frame = pd.DataFrame(columns, dtype="object")
    frame = frame.set_axis(range(2, 2 + len(frame)))
    if table != "rna":
        return RawTable(source(table, layout), frame)
    values = pd.DataFrame({" SOX10 (6663)": range(1, 1 + len(frame))}, dtype=float)
    return RawProfiles(source("rna", layout), frame, values)


def sound(table: TableName, layout: str = "current", **changed: Column) -> RawTable | RawProfiles:
    return raw(table, layout, **(SOUND[table] | changed))


def check(*tables: RawTable | RawProfiles) -> CheckedTables:
    given: dict[str, Any] = dict.fromkeys(("logfc", "guide_map", "sequence_map", "rna"))
    given |= {table.source.table: table for table in tables}
    return check_tables(RawScreen(**given), library="Avana")


def broken(*tables: RawTable | RawProfiles) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(f.rule, f.column, f.found) for f in check(*tables).findings]


def changed(table: TableName, column: str, value: str | None):
    values = [*SOUND[table][column]]
    values[1] = value
    return sound(table, "current", **{column: values})


def test_sound_tables_are_parsed_into_their_types_and_make_a_screen():
    others = {"nonessential": ["A (1)"], "expression_addictions": ["B (2)", "C (3)", "D (4)"]}
    lists = [raw(name, gene=[*genes]) for name, genes in others.items()]
    tables = check(*map(sound, SOUND), *lists)
    assert tables.guide_map is not None and tables.sequence_map is not None
    assert tables.profiles is not None and tables.rna is not None
    for frame, column, values in (
        (tables.guide_map, "n_alignments", [1, 1, 2]),
        (tables.guide_map, "used", [True, True, False]),
        (tables.sequence_map, "passes_qc", [True, False, True]),
        (tables.sequence_map, "excluded", [False, True, False]),
        (tables.profiles, "is_default", [True, False, True]),
        (tables.rna, "SOX10 (6663)", [1.0, 2.0, 3.0]),
    ):
        assert frame[column].tolist() == values and frame.index.tolist() == [2, 3, 4]
    screen = tables.screen()
    for name in ("guide_map", "sequence_map", "profiles", "rna", "model_table"):
        frame = getattr(tables, name)
        assert_frame_equal(getattr(screen, name), frame.reset_index(drop=True))
    for checked in (tables, screen):
        assert checked.essential == ("POLR2A (5430)", "RPL3 (6122)")
        assert checked.nonessential == ("A (1)",)
        assert checked.expression_addictions == ("B (2)", "C (3)", "D (4)")
    assert [finding.rule for finding in tables.findings] == ["surrounding_blanks"]
    assert replace(tables, model_table=None).screen().model_table is None
    for name in ("guide_map", "sequence_map", "profiles", "rna"):
        nothing: dict[str, Any] = {name: None}
        with pytest.raises(ValueError, match="a screen needs guide map, sequence map and RNA"):
            replace(tables, **nothing).screen()


def test_columns_that_a_layout_leaves_out_have_the_usual_values():
    older: dict[str, Column] = {"cell_line": ["ACH-000001", None], "passes_qc": ["True", "False"]}
    tables = check(
        raw("guide_map", "long", guide=["g1", "g2"], gene=["A", "B"], note=["x", "y"]),
        raw("sequence_map", "older", sequence=["a", "pool"], **older),
        raw("rna", "one_profile", cell_line=["ACH-000001", "ACH-000009"]),
        raw("model_table", cell_line=["ACH-000001"]),
    )
    assert tables.findings == ()
    guides = [("g1", "A", 1, True), ("g2", "B", 1, True)]
    sequences = [
        ("a", "ACH-000001", "2DS", "Avana", None, True, False),
        ("pool", None, "pDNA", "Avana", None, False, False),
    ]
    profiles = [(line, line, True) for line in ("ACH-000001", "ACH-000009")]
    for frame, columns, rows, types in (
        (tables.guide_map, GUIDE_MAP_COLUMNS, guides, {"n_alignments": "Int64"}),
        (tables.sequence_map, SEQUENCE_MAP_COLUMNS, sequences, {"pdna_batch": "str"}),
        (tables.profiles, PROFILE_COLUMNS, profiles, {}),
    ):
        assert_frame_equal(frame, pd.DataFrame(rows, [2, 3], [*columns]).astype(types))
    assert tables.model_table is not None
    assert tables.model_table["lineage"].isna().all()


@pytest.mark.parametrize(
    ("table", "column", "values", "rule"),
    [
        ("guide_map", "guide", ["A" * 19, "T" * 23], ""),
        ("guide_map", "gene", [None], ""),
        ("guide_map", "n_alignments", [None, "0", "3.00"], ""),
        ("sequence_map", "excluded", ["perhaps"], "flag"),
        *(("sequence_map", name, [None], "") for name in ("library", "screen_type", "excluded")),
        ("rna", "is_default", ["perhaps"], "flag"),
    ],
)  # fmt: skip
def test_a_value_is_held_to_the_rules_of_its_column(table, column, values, rule):
    for value in values:
        shown = "line 3" if value is None else f"line 3: {value!r}"
        expected = [(rule, column, (shown,))] if rule else []
        assert broken(changed(table, column, value)) == expected, value


def test_unusable_guides_of_a_gene_may_have_another_symbol():
    genes: Column = ["SOX10 (6663)", "DOM (6663)", "HLA-A (3105)"]
    assert broken(sound("guide_map", gene=genes, used=["True", "False", "True"])) == []


def test_missing_columns_are_named_beside_those_there_are_and_leave_the_table_out():
    tables = check(
        raw("guide_map", gene=["SOX10 (6663)"], used=["no?"]),
        raw("sequence_map", sequence=["a"], cell_line=["ACH-000001"], passes_qc=["x"]),
    )
    assert [(f.rule, f.table, f.column, f.found) for f in tables.findings] == [
        ("flag", "guide_map", "used", ("line 2: 'no?'",)),
        ("column_missing", "guide_map", "guide", ("columns gene, used",)),
        ("column_missing", "guide_map", "n_alignments", ("columns gene, used",)),
        ("flag", "sequence_map", "passes_qc", ("line 2: 'x'",)),
    ]
    assert tables.guide_map is None
    assert tables.sequence_map is not None
    without = raw("sequence_map", sequence=["a"], cell_line=["ACH-000001"])
    assert [finding.column for finding in check(without).findings] == ["passes_qc"]


def test_an_empty_table_is_named_and_blank_rows_are_left_out():
    table = sound("guide_map")
    assert isinstance(table, RawTable)
    table.frame.loc[9] = None
    table.frame.loc[10] = "  "
    tables = check(table)
    assert tables.findings == () and tables.guide_map is not None
    assert tables.guide_map.index.tolist() == [2, 3, 4]
    (finding,) = check(RawTable(table.source, table.frame[3:])).findings
    assert (finding.rule, finding.count) == ("table_empty", 1)


def test_all_failures_are_counted_and_the_first_are_kept(monkeypatch: pytest.MonkeyPatch):
    many = raw("model_table", cell_line=[f"line {number}" for number in range(30)])
    (finding,) = check(many).findings
    assert (finding.count, len(finding.found)) == (30, 30)
    for module in ("maps", "rule"):
        monkeypatch.setattr(f"schemas.tables.{module}.MOST_KEPT", 2)
    (finding,) = check(many).findings
    assert (finding.count, finding.found) == (30, ("line 2: 'line 0'", "line 3: 'line 1'"))
    finding = Rule("short", "less", "cut it").broken("rna", ["a", "b", "c"])
    assert (finding.count, finding.found) == (3, ("a", "b"))

"""Each schema of a small table: what it refuses, with which lines, and what it parses into."""

from __future__ import annotations

import pandas as pd
import pytest

from schemas.screen import (
    GUIDE_MAP_COLUMNS,
    MODEL_TABLE_COLUMNS,
    RawRna,
    RawScreen,
    RawTable,
    TableName,
    TableSource,
)
from schemas.tables import FLAGS, CheckedTables, check_tables

GUIDES = ["ACGTACGTACGTACGTACGT", "CCGTACGTACGTACGTACG", "GCGTACGTACGTACGTACGT"]


def source(table: TableName, layout: str = "current") -> TableSource:
    return TableSource(table, f"{table}.csv", layout, "0" * 64)


def raw(table: TableName, layout: str = "current", **columns: list[str | None]) -> RawTable:
    frame = pd.DataFrame(columns, dtype="object")
    return RawTable(source(table, layout), frame.set_axis(range(2, 2 + len(frame))))


def guide_map(layout: str = "current", **changed: list[str | None]) -> RawTable:
    columns: dict[str, list[str | None]] = {
        "guide": list(GUIDES),
        "gene": ["SOX10 (6663)", "SOX10 (6663)", "HLA-A (3105)"],
        "n_alignments": ["1.0", "1", "2"],
        "used": ["True", "1", "False"],
    }
    return raw("guide_map", layout, **(columns | changed))


def sequence_map(layout: str = "current", **changed: list[str | None]) -> RawTable:
    columns: dict[str, list[str | None]] = {
        "sequence": ["HB11;19 rep A", "HB11;19 rep B", "pDNA_1"],
        "cell_line": ["ACH-000001", "ACH-000001", None],
        "screen_type": ["2DS", "2DS", "pDNA"],
        "library": ["Avana"] * 3,
        "passes_qc": ["True", "False", "True"],
    }
    return raw("sequence_map", layout, **(columns | changed))


def check(**tables: RawTable | RawRna) -> CheckedTables:
    missing = dict.fromkeys(("logfc", "guide_map", "sequence_map", "rna"))
    return check_tables(RawScreen(**(missing | tables)), library="Avana")  # type: ignore[arg-type]


def check_profiles(layout: str, **columns: list[str | None]) -> CheckedTables:
    """Check an RNA table of one gene with these columns before its values."""
    profiles = pd.DataFrame(columns, dtype="object")
    profiles = profiles.set_axis(range(2, 2 + len(profiles)))
    values = pd.DataFrame({"SOX10 (6663)": 1.0}, index=range(len(profiles)))
    return check(rna=RawRna(source("rna", layout), profiles, values))


def broken(**tables: RawTable) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(f.rule, f.column, f.found) for f in check(**tables).findings]


def test_sound_tables_have_no_findings_and_get_their_types():
    tables = check(guide_map=guide_map(), sequence_map=sequence_map())
    assert tables.findings == ()
    assert tables.guide_map is not None
    assert tables.guide_map["n_alignments"].tolist() == [1, 1, 2]
    assert tables.guide_map["used"].tolist() == [True, True, False]
    assert tables.guide_map["used"].dtype == bool
    assert tables.sequence_map is not None
    assert tables.sequence_map["passes_qc"].tolist() == [True, False, True]
    assert tables.sequence_map["excluded"].tolist() == [False] * 3
    assert tables.sequence_map["sequence"].tolist()[0] == "HB11;19 rep A"


def test_only_the_columns_of_a_table_are_kept():
    tables = check(
        guide_map=guide_map(note=["x", "y", "z"]),
        model_table=raw("model_table", sex=["F"], cell_line=["ACH-000001"]),
    )
    assert tables.findings == ()
    assert tables.guide_map is not None and tables.model_table is not None
    assert list(tables.guide_map) == list(GUIDE_MAP_COLUMNS)
    assert list(tables.model_table) == list(MODEL_TABLE_COLUMNS)
    assert tables.model_table["lineage"].isna().all()


def test_what_a_sequence_map_says_is_not_replaced_by_what_it_may_leave_out():
    tables = check(
        sequence_map=sequence_map(
            screen_type=["3DO", "2DS", "pDNA"],
            library=["KY", "Avana", "Avana"],
            excluded=["False", "True", "False"],
        )
    )
    assert tables.sequence_map is not None
    assert tables.sequence_map["screen_type"].tolist() == ["3DO", "2DS", "pDNA"]
    assert tables.sequence_map["library"].tolist() == ["KY", "Avana", "Avana"]
    assert tables.sequence_map["excluded"].tolist() == [False, True, False]


@pytest.mark.parametrize(("text", "value"), FLAGS.items())
def test_every_way_to_write_a_flag_is_read(text: str, value: bool):
    tables = check(sequence_map=sequence_map(passes_qc=[text] * 3))
    assert tables.findings == ()
    assert tables.sequence_map is not None
    assert tables.sequence_map["passes_qc"].tolist() == [value] * 3


def test_no_is_not_true():
    assert FLAGS["No"] is False


@pytest.mark.parametrize("text", ["No?", "maybe", "2", "yes please", "Y", "None"])
def test_other_words_are_no_flags(text: str):
    findings = broken(sequence_map=sequence_map(passes_qc=["True", text, "True"]))
    assert findings == [("flag", "passes_qc", (f"line 3: {text!r}",))]


def test_a_flag_that_cannot_be_read_keeps_its_row_for_the_other_rules():
    tables = check(sequence_map=sequence_map(passes_qc=["No?"] * 3))
    assert tables.sequence_map is not None
    assert tables.sequence_map["passes_qc"].tolist() == [True] * 3


@pytest.mark.parametrize(
    "guide", ["ACGTACGTACGTACGTAC", "ACGTACGTACGTACGTACGTACGT", "ACGTACGTACGTACGTACGN"]
)
def test_a_guide_of_another_form_is_named_with_its_line(guide: str):
    findings = broken(guide_map=guide_map(guide=[GUIDES[0], guide, GUIDES[2]]))
    assert findings == [("guide_sequence", "guide", (f"line 3: {guide!r}",))]


def test_guides_of_cas12a_are_longer():
    longest = "ACGTACGTACGTACGTACGTACG"
    assert broken(guide_map=guide_map(guide=[GUIDES[0], longest, GUIDES[2]])) == []


def test_lower_case_is_no_guide():
    findings = broken(guide_map=guide_map(guide=[guide.lower() for guide in GUIDES]))
    assert [(rule, len(found)) for rule, _, found in findings] == [("guide_sequence", 3)]


@pytest.mark.parametrize("gene", ["SOX10", "6663", "SOX10(6663)", "SOX10 (x)", "SOX10 (6663) "])
def test_a_gene_of_another_form_is_named(gene: str):
    rule = "surrounding_blanks" if gene.endswith(" ") else "gene_label"
    findings = broken(guide_map=guide_map(gene=[gene, "HLA-A (3105)", "HLA-A (3105)"]))
    assert findings == [(rule, "gene", (f"line 2: {gene!r}",))]


@pytest.mark.parametrize("cell_line", ["ACH-00001", "ach-000001", "A375", "ACH-0000011"])
def test_a_cell_line_of_another_form_is_named(cell_line: str):
    findings = broken(sequence_map=sequence_map(cell_line=["ACH-000001", cell_line, None]))
    assert findings == [("cell_line_id", "cell_line", (f"line 3: {cell_line!r}",))]


def test_a_sequence_standing_twice_is_named_at_its_second_line():
    findings = broken(sequence_map=sequence_map(sequence=["a", "a", "pDNA_1"]))
    assert findings == [("sequence_unique", "sequence", ("line 3: 'a'",))]


def test_only_pdna_may_lack_a_cell_line():
    findings = broken(sequence_map=sequence_map(cell_line=["ACH-000001", None, None]))
    assert findings == [("value_missing", "cell_line", ("line 3",))]


def test_only_pdna_may_lack_its_quality_control():
    findings = broken(sequence_map=sequence_map(passes_qc=["True", None, None]))
    assert findings == [("value_missing", "passes_qc", ("line 3",))]


@pytest.mark.parametrize("text", ["one", "1.5", "-1"])
def test_alignments_are_counted(text: str):
    findings = broken(guide_map=guide_map(n_alignments=["1", text, "2"]))
    assert findings == [("whole_number", "n_alignments", (f"line 3: {text!r}",))]


def test_a_missing_column_is_named_and_the_table_left_out():
    table = sequence_map()
    tables = check(
        sequence_map=RawTable(table.source, table.frame.drop(columns="passes_qc")),
        guide_map=guide_map(used=["True", "x", "True"]),
    )
    assert [(f.rule, f.table, f.column) for f in tables.findings] == [
        ("flag", "guide_map", "used"),
        ("column_missing", "sequence_map", "passes_qc"),
    ]
    assert tables.sequence_map is None


def test_every_missing_column_is_named_beside_those_there_are():
    table = raw("guide_map", gene=["SOX10 (6663)"], n_alignments=["one"])
    frame = table.frame.drop(columns="n_alignments")
    there = ("columns gene",)
    assert broken(guide_map=RawTable(table.source, frame)) == [
        ("column_missing", "guide", there),
        ("column_missing", "n_alignments", there),
    ]
    without = RawTable(table.source, table.frame.assign(used="no?"))
    assert broken(guide_map=without) == [
        ("whole_number", "n_alignments", ("line 2: 'one'",)),
        ("flag", "used", ("line 2: 'no?'",)),
        ("column_missing", "guide", ("columns gene, n_alignments, used",)),
    ]


@pytest.mark.parametrize(("guide", "gene", "used"), [(2, 3, 4), (4, 3, 2), (3, 4, 2), (4, 2, 3)])
def test_failures_of_a_table_come_in_the_order_of_their_lines(guide, gene, used):
    table = guide_map()
    frame = table.frame.copy()
    for column, line in (("guide", guide), ("gene", gene), ("used", used)):
        frame.loc[line, column] = "x"
    lines = {"guide_sequence": guide, "gene_label": gene, "flag": used}
    found = broken(guide_map=RawTable(table.source, frame))
    assert [rule for rule, _, _ in found] == sorted(lines, key=lines.__getitem__)


def test_a_guide_map_must_count_alignments_where_guides_are_real():
    table = guide_map()
    without = RawTable(table.source, table.frame.drop(columns="n_alignments"))
    assert [rule for rule, _, _ in broken(guide_map=without)] == ["column_missing"]


def test_an_empty_table_is_named():
    table = guide_map()
    finding = check(guide_map=RawTable(table.source, table.frame.iloc[:0])).findings[0]
    assert (finding.rule, finding.count) == ("table_empty", 1)


def test_blank_rows_are_passed_over():
    table = guide_map()
    frame = table.frame.copy()
    frame.loc[9] = None
    frame.loc[10] = "  "
    tables = check(guide_map=RawTable(table.source, frame))
    assert tables.findings == ()
    assert tables.guide_map is not None
    assert len(tables.guide_map) == 3


def test_all_failures_of_all_tables_come_at_once():
    rules = [
        rule
        for rule, _, _ in broken(
            guide_map=guide_map(guide=["x", *GUIDES[1:]], gene=["y"] * 3, used=["z"] * 3),
            sequence_map=sequence_map(sequence=["a", "a", " b"], cell_line=["c", "c", None]),
        )
    ]
    assert sorted(rules) == [
        "cell_line_id",
        "flag",
        "gene_label",
        "guide_sequence",
        "sequence_unique",
        "surrounding_blanks",
    ]


def test_all_offending_values_are_kept():
    frame = pd.DataFrame({"cell_line": [f"line {number}" for number in range(30)]})
    table = RawTable(source("model_table"), frame.set_axis(range(2, 32)))
    (finding,) = check(model_table=table).findings
    assert (finding.count, len(finding.found)) == (30, 30)
    assert finding.found[0] == "line 2: 'line 0'"


def test_of_more_values_than_are_kept_all_are_counted(monkeypatch: pytest.MonkeyPatch):
    for module in ("tables", "findings"):
        monkeypatch.setattr(f"schemas.{module}.MOST_KEPT", 2)
    (finding,) = check(guide_map=guide_map(gene=["x", "y", "z"])).findings
    assert (finding.count, finding.found) == (3, ("line 2: 'x'", "line 3: 'y'"))


def test_a_cell_line_standing_twice_in_the_model_table_is_named():
    table = raw("model_table", cell_line=["ACH-000001"] * 2, lineage=["Skin", None])
    assert broken(model_table=table) == [
        ("cell_line_unique", "cell_line", ("line 3: 'ACH-000001'",))
    ]


def test_a_lineage_that_a_spreadsheet_would_compute_is_named():
    table = raw("model_table", cell_line=["ACH-000001", "ACH-000002"], lineage=["Skin", "=1+1"])
    assert broken(model_table=table) == [("plain_label", "lineage", ("line 3: '=1+1'",))]


def test_each_list_of_genes_is_kept_apart_and_none_is_empty():
    lists: dict[TableName, list[str]] = {
        "essential": ["POLR2A (5430)", " RPL3 (6122)"],
        "nonessential": ["OR1A1 (8383)"],
        "expression_addictions": ["SOX10 (6663)", "IRF4 (3662)", "MYB (4602)"],
    }
    tables = check(**{name: raw(name, gene=[*genes]) for name, genes in lists.items()})
    for name, genes in lists.items():
        assert getattr(tables, name) == tuple(gene.strip() for gene in genes)
        assert getattr(check(), name) == ()


def test_a_control_of_another_form_is_named():
    table = raw("essential", gene=["POLR2A (5430)", "RPL3"])
    assert broken(essential=table) == [("gene_label", "gene", ("line 3: 'RPL3'",))]


def test_a_gene_of_two_symbols_is_named():
    genes = ["SOX10 (6663)", "DOM (6663)", "HLA-A (3105)"]
    assert broken(guide_map=guide_map(gene=genes)) == [
        ("gene_of_one_symbol", "gene", ("DOM (6663)", "SOX10 (6663)"))
    ]


def test_symbols_of_guides_that_are_not_fitted_are_no_matter():
    genes = ["SOX10 (6663)", "DOM (6663)", "HLA-A (3105)"]
    assert broken(guide_map=guide_map(gene=genes, used=["True", "False", "True"])) == []
    free = raw("guide_map", "long", guide=["g1", "g2"], gene=["A (1)", "B (1)"])
    assert broken(guide_map=free) == []


def test_long_tables_may_name_things_as_they_like():
    tables = check(
        guide_map=raw("guide_map", "long", guide=["g1", "g2"], gene=["A", "B"]),
        sequence_map=raw("sequence_map", "long", sequence=["s1", "s2"], cell_line=["x", "y"]),
    )
    assert tables.findings == ()
    assert tables.guide_map is not None
    assert tables.guide_map["used"].all()
    assert tables.guide_map["n_alignments"].eq(1).all()
    assert tables.sequence_map is not None
    assert tables.sequence_map["library"].eq("Avana").all()
    assert tables.sequence_map["screen_type"].eq("2DS").all()


def test_but_they_must_name_them():
    table = raw("guide_map", "long", guide=["g1", None], gene=["A", "B"])
    assert broken(guide_map=table) == [("value_missing", "guide", ("line 3",))]


def test_rows_without_a_cell_line_are_pdna_in_the_older_map():
    table = raw(
        "sequence_map",
        "older",
        sequence=["a", "pool"],
        cell_line=["ACH-000001", None],
        passes_qc=["True", "True"],
    )
    tables = check(sequence_map=table)
    assert tables.findings == ()
    assert tables.sequence_map is not None
    assert tables.sequence_map["screen_type"].tolist() == ["2DS", "pDNA"]


def test_flags_of_profiles_are_parsed():
    tables = check_profiles(
        "several_profiles", cell_line=["ACH-000001", "ACH-000001"], is_default=["Yes", "No"]
    )
    assert tables.findings == ()
    assert tables.profiles is not None
    assert tables.profiles["is_default"].tolist() == [True, False]
    assert tables.rna is not None
    assert tables.rna.index.tolist() == [2, 3]


def test_guides_made_to_hit_no_gene_have_neither_gene_nor_alignments():
    tables = check(
        guide_map=guide_map(
            gene=["SOX10 (6663)", None, "HLA-A (3105)"], n_alignments=["1", None, "2"]
        )
    )
    assert tables.findings == ()
    assert tables.guide_map is not None
    assert tables.guide_map["gene"].isna().tolist() == [False, True, False]


def test_rows_of_profiles_stay_beside_their_values():
    tables = check_profiles(
        "several_profiles",
        profile=["PR-1", None],
        cell_line=["ACH-000001", None],
        is_default=["Yes", None],
    )
    assert tables.profiles is not None and tables.rna is not None
    assert tables.profiles.index.tolist() == tables.rna.index.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("column", "value", "broken_rules"),
    [
        ("sequence", "=1+1", [("plain_label", "sequence", ("line 3: '=1+1'",))]),
        ("excluded", "perhaps", [("flag", "excluded", ("line 3: 'perhaps'",))]),
        ("excluded", None, []),
        ("library", None, []),
        ("screen_type", None, []),
        ("library", " Avana", [("surrounding_blanks", "library", ("line 3: ' Avana'",))]),
        ("screen_type", "2DS ", [("surrounding_blanks", "screen_type", ("line 3: '2DS '",))]),
    ],
)
def test_each_column_of_a_sequence_map_has_its_rules(
    column: str, value: str | None, broken_rules: list[tuple[str, str, tuple[str, ...]]]
):
    spoilt = sequence_map(excluded=["False"] * 3)
    spoilt.frame.loc[3, column] = value
    assert broken(sequence_map=spoilt) == broken_rules


@pytest.mark.parametrize(
    ("column", "value", "rule", "layout"),
    [
        ("is_default", "perhaps", "flag", "several_profiles"),
        ("is_default", None, "value_missing", "several_profiles"),
        ("cell_line", "A2058", "cell_line_id", "several_profiles"),
        ("cell_line", "A2058", "", "long"),
    ],
)
def test_each_column_of_profiles_has_its_rules(
    column: str, value: str | None, rule: str, layout: str
):
    sound: dict[str, list[str | None]] = {"cell_line": ["ACH-000001"], "is_default": ["Yes"]}
    findings = check_profiles(layout, **{**sound, column: [value]}).findings
    assert [(f.rule, f.column) for f in findings] == ([(rule, column)] if rule else [])


def test_profiles_without_names_are_called_as_their_cell_line():
    named = check_profiles("several_profiles", profile=["PR-1"], cell_line=["ACH-000001"])
    alone = check_profiles("one_profile", cell_line=["ACH-000001"])
    for tables, name in ((named, "PR-1"), (alone, "ACH-000001")):
        assert tables.profiles is not None
        assert tables.profiles["profile"].tolist() == [name]
        assert tables.profiles["cell_line"].tolist() == ["ACH-000001"]


def test_profiles_need_no_flags():
    tables = check_profiles("one_profile", cell_line=["ACH-000001"])
    assert tables.findings == () and tables.profiles is not None
    assert tables.profiles["is_default"].tolist() == [True]

"""Each rule across tables: what breaks it, and that sound tables do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from schemas.coverage_rules import join_of
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.reports import Finding
from schemas.rules import check_across
from schemas.tables import CheckedTables
from schemas.usable import usable_guides

DATASET = Dataset(name="small", release="1", library="Avana", logfc="logfc.csv")
PARAMETERS = FitParameters()
SEQUENCES = ["a1", "a2", "b1", "c1"]


def tables() -> CheckedTables:
    """Two genes with two guides, three lines with RNA for both, all of it usable."""
    guide_map = pd.DataFrame(
        {
            "guide": ["g1", "g2", "g3", "g4"],
            "gene": ["A (1)", "A (1)", "B (2)", "B (2)"],
            "n_alignments": pd.array([1, 1, 1, 1], dtype="Int64"),
            "used": True,
        }
    )
    sequence_map = pd.DataFrame(
        {
            "sequence": [*SEQUENCES, "pDNA"],
            "cell_line": ["ACH-000001", "ACH-000001", "ACH-000002", "ACH-000003", None],
            "screen_type": ["2DS"] * 4 + ["pDNA"],
            "library": "Avana",
            "passes_qc": True,
            "excluded": False,
        }
    )
    cell_lines = ["ACH-000001", "ACH-000002", "ACH-000003"]
    return CheckedTables(
        guide_map=guide_map,
        sequence_map=sequence_map,
        profiles=pd.DataFrame({"cell_line": cell_lines, "is_default": True}),
        rna=pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["A (1)", "B (2)"]),
        model_table=pd.DataFrame({"cell_line": cell_lines}),
        essential=("A (1)",),
        nonessential=("B (2)",),
        expression_addictions=(),
        findings=(),
    )


def changed(table: str, **columns: object) -> CheckedTables:
    sound = tables()
    return replace(sound, **{table: getattr(sound, table).assign(**columns)})


def check(checked: CheckedTables, sequences: list[str] = SEQUENCES) -> list[Finding]:
    return check_across(checked, sequences, DATASET, PARAMETERS)


def broken(checked: CheckedTables, sequences: list[str] = SEQUENCES) -> list[tuple[str, ...]]:
    return [(finding.rule, *finding.found) for finding in check(checked, sequences)]


def test_sound_tables_break_no_rule():
    assert check(tables()) == []


def test_a_sequence_standing_twice_in_the_logfc_table():
    assert broken(tables(), [*SEQUENCES, "a1"]) == [("logfc_sequence_unique", "a1")]


def test_sequences_the_map_does_not_have():
    assert broken(tables(), [*SEQUENCES, "x", "y"]) == [("sequence_in_map", "x", "y")]


def test_all_missing_sequences_are_kept():
    (finding,) = check(tables(), [*SEQUENCES, *map(str, range(30))])
    assert finding.found == tuple(map(str, range(30)))


def test_a_blank_around_a_sequence_is_not_also_a_missing_sequence():
    assert broken(tables(), ["a1 ", "a2", "b1", "c1"]) == [("surrounding_blanks", "'a1 '")]


def test_a_library_the_map_does_not_have_is_answered_with_those_it_has():
    libraries = ["KY", "KY", "TKOv3", None, None]
    assert broken(changed("sequence_map", library=libraries)) == [
        ("library_in_map", "there are KY, TKOv3")
    ]


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("passes_qc", False, "4 of 4: failed quality control"),
        ("excluded", True, "4 of 4: excluded by the release"),
        ("screen_type", "3DO", "4 of 4: screen type other than 2DS"),
        ("library", ["KY"] * 4 + ["Avana"], "4 of 4: library other than Avana"),
    ],
)
def test_no_sequence_left(column: str, value: object, found: str):
    assert broken(changed("sequence_map", **{column: value})) == [("sequences_left", found)]


@pytest.mark.parametrize(
    ("column", "value"), [("used", False), ("n_alignments", pd.array([2, 3, 0, None], "Int64"))]
)
def test_no_guide_left(column: str, value: object):
    assert broken(changed("guide_map", **{column: value}))[0][0] == "guides_left"


def test_a_guide_of_two_genes():
    assert broken(changed("guide_map", guide=["g1", "g2", "g2", "g4"])) == [
        ("guide_of_one_gene", "g2: A (1), B (2)")
    ]


def test_a_guide_of_two_genes_is_no_matter_where_it_hits_several_places():
    spoilt = changed(
        "guide_map",
        guide=["g1", "g2", "g2", "g4"],
        n_alignments=pd.array([1, 2, 2, 1], "Int64"),
    )
    assert broken(spoilt) == []


def test_a_guide_standing_twice_in_its_map():
    assert broken(changed("guide_map", guide=["g1", "g1", "g3", "g4"])) == [
        ("guide_map_unique", "g1")
    ]


def test_guides_without_a_gene_are_warned_of_and_not_usable():
    spoilt = changed("guide_map", gene=["A (1)", None, "B (2)", "B (2)"])
    (finding,) = check(spoilt)
    assert (finding.rule, finding.severity, finding.found) == (
        "guides_without_gene",
        "warning",
        ("g2",),
    )
    assert spoilt.guide_map is not None
    assert usable_guides(spoilt.guide_map).tolist() == [True, False, True, True]


def test_controls_none_of_which_is_in_the_library():
    assert broken(replace(tables(), essential=("X (9)", "Y (8)"))) == [
        ("controls_found", "X (9)", "Y (8)")
    ]


def test_controls_whose_guides_are_not_usable():
    spoilt = changed("guide_map", used=[False, False, True, True])
    assert ("controls_found", "A (1)") in broken(spoilt)


def test_lines_that_the_model_table_does_not_have_are_warned_of():
    (finding,) = check(replace(tables(), model_table=pd.DataFrame({"cell_line": ["ACH-000001"]})))
    assert (finding.rule, finding.severity) == ("cell_lines_in_model_table", "warning")
    assert finding.found == ("ACH-000002", "ACH-000003")


def with_lines_of_rna(*cell_lines: str) -> CheckedTables:
    profiles = pd.DataFrame({"cell_line": cell_lines, "is_default": True})
    return replace(
        tables(),
        profiles=profiles,
        rna=pd.DataFrame(1.0, index=profiles.index, columns=["A (1)", "B (2)"]),
        model_table=None,
    )


def test_a_line_lost_in_the_join_is_warned_of_by_its_name():
    (finding,) = check(with_lines_of_rna("ACH-000001", "ACH-000002", "ACH-000009"))
    assert (finding.rule, finding.severity, finding.found) == (
        "cell_lines_lost",
        "warning",
        ("ACH-000003",),
    )
    assert finding.expected == "every cell line of sequence_map in rna; 2 of 3 are"


def test_too_few_lines_kept_in_the_join():
    (finding,) = check(with_lines_of_rna("ACH-000001", "ACH-000008", "ACH-000009"))
    assert (finding.rule, finding.severity, finding.count) == ("cell_lines_retained", "error", 2)


def test_lines_of_the_larger_table_may_be_absent_from_the_smaller():
    assert check(with_lines_of_rna("ACH-000001")) == []


def test_lines_that_are_not_fitted_may_be_absent_from_the_model_table():
    fitted = ["ACH-000001", "ACH-000002"]
    spoilt = replace(
        with_lines_of_rna(*fitted, "ACH-000009"),
        model_table=pd.DataFrame({"cell_line": fitted}),
    )
    assert broken(spoilt) == [("cell_lines_lost", "ACH-000003")]


def test_no_shared_line_is_an_error_whatever_the_limit():
    none_asked = PARAMETERS.model_copy(
        update={"contract": PARAMETERS.contract.model_copy(update={"min_join_retention": 0})}
    )
    findings = check_across(with_lines_of_rna("ACH-000007"), SEQUENCES, DATASET, none_asked)
    assert [finding.rule for finding in findings] == ["cell_lines_retained"]


def test_genes_lost_in_the_join():
    rna = tables().rna
    assert rna is not None
    half = replace(tables(), rna=rna.set_axis(["A (1)", "C (3)"], axis=1))
    assert [(f.rule, f.found) for f in check(half)] == [("genes_lost", ("B (2)",))]
    none = replace(tables(), rna=rna.set_axis(["C (3)", "D (4)"], axis=1))
    assert [f.rule for f in check(none)] == ["genes_retained"]


def test_rules_are_left_out_where_their_table_is_missing():
    empty = CheckedTables(None, None, None, None, None, (), (), (), ())
    assert check_across(empty, None, DATASET, PARAMETERS) == []
    assert join_of(empty, SEQUENCES, "Avana") is None


@pytest.mark.parametrize(
    "without",
    [
        replace(tables(), guide_map=None),
        replace(tables(), sequence_map=None),
        replace(tables(), profiles=None),
        replace(tables(), rna=None),
    ],
    ids=["guide_map", "sequence_map", "profiles", "rna"],
)
def test_one_missing_table_spoils_the_join_but_not_the_check_of_the_others(without: CheckedTables):
    assert check(without) == []
    assert join_of(without, SEQUENCES, "Avana") is None


def test_the_join_takes_usable_sequences_guides_and_default_profiles():
    spoilt = replace(
        changed("guide_map", used=[True, True, False, False]),
        sequence_map=changed(
            "sequence_map", passes_qc=[True, True, False, True, True]
        ).sequence_map,
    )
    join = join_of(spoilt, SEQUENCES, "Avana")
    assert join is not None
    assert join.genes.tolist() == ["A (1)"]
    assert join.cell_lines.tolist() == ["ACH-000001", "ACH-000003"]
    assert join.has_rna.shape == (1, 2)


def test_rna_of_the_join_is_that_of_the_default_profile():
    profiles = pd.DataFrame(
        {"cell_line": ["ACH-000001"] * 2 + ["ACH-000002"], "is_default": [False, True, True]}
    )
    rna = pd.DataFrame({"A (1)": [1.0, np.nan, 1.0], "B (2)": [np.nan, 1.0, 1.0]})
    join = join_of(replace(tables(), profiles=profiles, rna=rna), SEQUENCES, "Avana")
    assert join is not None
    assert join.has_rna.tolist() == [[False, True], [True, True]]

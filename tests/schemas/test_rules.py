"""The rules between tables: what breaks them, and what does not."""

from dataclasses import replace

import pandas as pd
import pytest

from schemas.dataset import Dataset
from schemas.parameters import Contract, FitParameters
from schemas.rules import check_across
from schemas.tables import CheckedTables
from tests.schemas.small_tables import GUIDES, LINES, NOTHING, SEQUENCES, changed, tables
from tests.schemas.small_tables import with_rna_of as rna_of

DATASET = Dataset(name="small", release="1", library="Avana", logfc="logfc.csv")


def broken(
    checked: CheckedTables, sequences: list[str] | None = SEQUENCES, **contract: float
) -> list[str]:
    parameters = FitParameters(contract=Contract.model_validate(contract))
    findings = check_across(checked, sequences, DATASET, parameters)
    return [f"{f.rule} in {f.table}, {f.count}: {'; '.join(f.found)}" for f in findings]


def in_models(*lines: str) -> CheckedTables:
    models = pd.DataFrame({"cell_line": lines})
    return replace(rna_of("ACH-000001", "ACH-000002"), model_table=models)


def rna_genes(*genes: str) -> CheckedTables:
    rna = pd.DataFrame(1.0, range(4), [*genes])
    return replace(tables(), rna=rna, essential=(), nonessential=())


A, B, C, D = GUIDES
SEVERAL = pd.array([1, 2, 2, 1], "Int64")


@pytest.mark.parametrize(
    ("checked", "expected"),
    [
        (tables(), []),
        (changed("sequence_map", library=["KY", "KY", "TKOv3", None, None]),
         ["library_in_map in sequence_map, 1: there are KY, TKOv3"]),
        (changed("sequence_map", library=None),
         ["library_in_map in sequence_map, 1: there are none"]),
        (changed("sequence_map", passes_qc=False, excluded=True),
         ["sequences_left in sequence_map, 4: 4 of 4: failed quality control"]),
        (changed("sequence_map", passes_qc=[False, False, False, True, False]), []),
        (changed("guide_map", guide=[A, B, B, D]),
         [f"guide_of_one_gene in guide_map, 1: {B}: A (1), B (2)"]),
        (changed("guide_map", guide=[A, B, B, D], n_alignments=SEVERAL), []),
        (changed("guide_map", guide=[A, B, D, D]), [f"guide_map_unique in guide_map, 1: {D}"]),
        (changed("guide_map", gene=["A (1)", None, "B (2)", "B (2)"]),
         [f"guides_without_gene in guide_map, 1: {B}"]),
        (changed("guide_map", used=[False, False, True, True]),
         ["controls_found in essential+guide_map, 1: A (1)"]),
        (changed("guide_map", n_alignments=pd.array([2, 3, 2, None], "Int64")),
         ["guides_left in guide_map, 4: 4 of 4: alignments other than one"]),
        (replace(tables(), essential=("X (9)", "Y (8)"), expression_addictions=("Z (7)",)),
         ["controls_found in essential+guide_map, 2: X (9); Y (8)",
          "controls_found in expression_addictions+guide_map, 1: Z (7)"]),
        (rna_genes("A (1)", "C"), ["genes_lost in guide_map+rna, 1: B (2)"]),
        (rna_genes("C", "D"), ["genes_retained in guide_map+rna, 2: A (1); B (2)"]),
        (rna_genes("A (1)"), []),  # the larger table may have more
        (rna_genes("C"), ["genes_retained in guide_map+rna, 1: C"]),
        (rna_of("ACH-000001", "ACH-000002", "ACH-000009"),
         ["cell_lines_lost in sequence_map+rna, 1: ACH-000003"]),
        (rna_of("ACH-000001", "ACH-000008", "ACH-000009"),
         ["cell_lines_retained in sequence_map+rna, 2: ACH-000002; ACH-000003"]),
        (rna_of("ACH-000001"), []),
        (in_models("ACH-000002"), ["cell_lines_in_model_table in model_table, 1: ACH-000001"]),
        (in_models("ACH-000001", "ACH-000002"), []),  # the third line is not fitted
    ],
)  # fmt: skip
def test_tables_are_checked_against_each_other(checked: CheckedTables, expected: list[str]):
    assert broken(checked) == expected


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        ([*SEQUENCES, "a1"], ["logfc_sequence_unique in logfc, 1: a1"]),
        ([*SEQUENCES, "y", "x", "x"],
         ["logfc_sequence_unique in logfc, 1: x",
          "sequence_in_map in logfc+sequence_map, 2: y; x"]),
        (None, []),
    ],
)  # fmt: skip
def test_sequences_of_the_logfc_table_are_checked_against_the_map(
    sequences: list[str] | None, expected: list[str]
):
    assert broken(tables(), sequences) == expected


def test_a_finding_says_of_what_column_and_how_many_are_shared():
    parameters, fewer = FitParameters(), rna_of("ACH-000008", "ACH-000009")
    (few,) = check_across(fewer, SEQUENCES, DATASET, parameters)
    (lost,) = check_across(rna_genes("A (1)", "C"), SEQUENCES, DATASET, parameters)
    assert (few.column, few.expected) == (
        "cell_line",
        "at least 50% of the cell lines of rna in sequence_map; 0 of 2 are",
    )
    assert (lost.column, lost.expected) == ("gene", "every gene of guide_map in rna; 1 of 2 are")


def test_the_share_that_must_be_retained_is_a_setting_and_none_is_never_enough():
    checked = rna_of("ACH-000001", "ACH-000008", "ACH-000009")
    assert broken(checked, min_join_retention=1 / 3)[0].startswith("cell_lines_lost")
    none = broken(rna_of("ACH-000007"), min_join_retention=0)
    assert none == ["cell_lines_retained in sequence_map+rna, 1: ACH-000007"]


def test_rules_are_left_out_where_their_table_is_missing():
    assert broken(NOTHING, None) == broken(NOTHING) == []
    for name in ("guide_map", "sequence_map", "profiles", "rna", "model_table"):
        assert broken(replace(tables(), **{name: None})) == [], name


def test_lines_that_are_compared_are_those_of_the_logfc_table_and_of_default_profiles():
    lines = [*LINES[:2], *LINES[:2]]
    profiles = pd.DataFrame({"cell_line": lines, "is_default": [True, False, True, False]})
    checked = replace(tables(), profiles=profiles)
    assert broken(checked) == []  # of the smaller set none is lost
    assert broken(checked, ["b1"]) == ["cell_lines_retained in sequence_map+rna, 1: ACH-000002"]

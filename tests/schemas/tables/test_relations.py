"""The rules between tables: what breaks them, and what does not."""

from dataclasses import replace

import pandas as pd
import pytest

from schemas.dataset import Dataset
from schemas.parameters import Contract, FitParameters
from schemas.tables.maps import CheckedTables
from schemas.tables.relations import check_across
from tests.schemas.tables.small_tables import GUIDES, LINES, SEQUENCES, changed, tables
from tests.schemas.tables.small_tables import with_rna_of as rna_of

DATASET = Dataset(name="small", release="1", library="Avana", logfc="logfc.csv")


def broken(
    checked: CheckedTables, sequences: list[str] | None = SEQUENCES, **contract: float
) -> list[str]:
    parameters = FitParameters(contract=Contract.model_validate(contract))
    findings = check_across(checked, sequences, DATASET, parameters)
    return [f"{f.rule} in {f.table}, {f.count}: {'; '.join(f.found)}" for f in findings]


A, B, C, D = GUIDES
SEVERAL = pd.array([1, 2, 2, 1], "Int64")
ONE_GENE, TWO_LINES = pd.DataFrame(1.0, range(4), ["A (1)"]), LINES[:2]


@pytest.mark.parametrize(
    ("checked", "expected"),
    [
        (tables(), []),
        (changed("sequence_map", passes_qc=[False, False, False, True, False]), []),
        (changed("guide_map", guide=[A, B, B, D], n_alignments=SEVERAL), []),
        (replace(tables(), expression_addictions=("Z (7)",)),
         ["controls_found in expression_addictions+guide_map, 1: Z (7)"]),
        # The larger table may have more genes.
        (replace(tables(), rna=ONE_GENE, essential=(), nonessential=()), []),
        (rna_of("ACH-000001"), []),
        # The third line is not fitted.
        (replace(rna_of(*TWO_LINES), model_table=pd.DataFrame({"cell_line": TWO_LINES})), []),
    ],
)  # fmt: skip
def test_tables_are_checked_against_each_other(checked: CheckedTables, expected: list[str]):
    assert broken(checked) == expected


def test_the_share_that_must_be_retained_is_a_setting_and_none_is_never_enough():
    checked = rna_of("ACH-000001", "ACH-000008", "ACH-000009")
    assert broken(checked, min_join_retention=1 / 3)[0].startswith("cell_lines_lost")
    none = broken(rna_of("ACH-000007"), min_join_retention=0)
    assert none == ["cell_lines_retained in sequence_map+rna, 1: ACH-000007"]


def test_lines_that_are_compared_are_those_of_the_logfc_table_and_of_default_profiles():
    lines = [*LINES[:2], *LINES[:2]]
    profiles = pd.DataFrame({"cell_line": lines, "is_default": [True, False, True, False]})
    checked = replace(tables(), profiles=profiles)
    assert broken(checked) == []  # of the smaller set none is lost
    assert broken(checked, ["b1"]) == ["cell_lines_retained in sequence_map+rna, 1: ACH-000002"]

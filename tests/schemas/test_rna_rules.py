"""Each rule of the RNA table: its genes, its default profiles, its values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from schemas.dataset import Dataset
from schemas.parameters import Contract
from schemas.reports import Finding
from schemas.rna_rules import check_rna
from schemas.screen import RawRna, TableSource

GENES = ["SOX10 (6663)", "HLA-A (3105)", "IRF4 (3662)"]
CELL_LINES = ["ACH-000001", "ACH-000002"]


def rna(
    values: np.ndarray | None = None,
    genes: list[str] = GENES,
    cell_lines: list[str] = CELL_LINES,
    layout: str = "several_profiles",
    **leading: list[str | None],
) -> RawRna:
    lines = pd.RangeIndex(2, 2 + len(cell_lines))
    if values is None:
        values = np.arange(len(cell_lines) * len(genes), dtype=float).reshape(len(cell_lines), -1)
    return RawRna(
        TableSource("rna", "rna.csv", layout, "0" * 64),
        pd.DataFrame({"cell_line": cell_lines, **leading}, index=lines, dtype="str"),
        pd.DataFrame(values, lines, pd.Index(genes)),
    )


def check(raw: RawRna, units: str = "log2_tpm") -> list[Finding]:
    dataset = Dataset.model_validate(
        {"name": "s", "release": "1", "library": "KY", "logfc": "l.csv", "rna_units": units}
    )
    return check_rna(raw, dataset, Contract())


def broken(raw: RawRna, units: str = "log2_tpm") -> list[tuple[str, ...]]:
    return [(finding.rule, *finding.found) for finding in check(raw, units)]


def with_value(value: float, centre: float = 0) -> RawRna:
    values = np.arange(6.0).reshape(2, 3) - centre
    values[1, 0] = value
    return rna(values)


def test_a_sound_table_breaks_no_rule():
    assert check(rna(is_default=["Yes", "Yes"])) == []


@pytest.mark.parametrize(
    ("value", "rule", "severity"),
    [
        (-0.1, "rna_not_negative", "error"),
        (40.1, "rna_not_linear", "error"),
        (40.0, "rna_high", "warning"),
        (20.1, "rna_high", "warning"),
        (np.inf, "rna_finite", "error"),
        (-np.inf, "rna_finite", "error"),
        (np.nan, "rna_missing", "warning"),
    ],
)
def test_values_log2_tpm_does_not_have(value: float, rule: str, severity: str):
    (finding,) = check(with_value(value))
    assert (finding.rule, finding.severity, finding.count) == (rule, severity, 1)
    if rule != "rna_missing":
        assert finding.found == (f"line 3, SOX10 (6663): {value:g}",)


def test_ten_cells_are_shown_and_all_are_counted():
    lines = [f"ACH-{line:06d}" for line in range(4)]
    (finding,) = check(rna(np.full((4, 3), 50.0), cell_lines=lines))
    assert (finding.rule, finding.count, len(finding.found)) == ("rna_not_linear", 12, 10)


def test_twenty_is_no_matter():
    assert check(with_value(20)) == []


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        (9.9, []),
        (10, []),
        (10.1, ["rna_z_score"]),
        (-10.1, ["rna_z_score"]),
        (-np.inf, ["rna_finite"]),
    ],
)
def test_z_scores_have_a_range_of_their_own(value: float, rules: list[str]):
    errors = [f.rule for f in check(with_value(value, 2), units="z_score") if f.severity == "error"]
    assert errors == rules


def test_log2_tpm_called_z_scores_is_told_by_its_sign():
    findings = check(rna(np.array([[0.0, 1, 2], [9, 8, np.nan]])), units="z_score")
    errors = [(f.rule, f.found) for f in findings if f.severity == "error"]
    assert errors == [("rna_z_score_signed", ("the smallest is 0",))]


def test_z_scores_off_centre_are_warned_of_by_gene():
    values = np.array([[-1.0, 0, 2.4], [1, 2, -0.2]])
    (finding,) = check(rna(values), units="z_score")
    assert (finding.rule, finding.severity) == ("rna_z_score_centred", "warning")
    assert finding.found == ("IRF4 (3662): 1.1",)


def test_zeros_alone_are_no_sign_of_another_unit():
    assert check(rna(np.zeros((2, 3))), units="z_score") == []


def test_a_gene_and_a_profile_without_any_value():
    values = np.arange(6.0).reshape(2, 3)
    values[:, 1] = np.nan
    assert ("rna_gene_known", "HLA-A (3105)") in broken(rna(values))
    values = np.arange(6.0).reshape(2, 3)
    values[1] = np.nan
    assert ("rna_profile_known", "line 3") in broken(rna(values))


def test_a_gene_of_another_form():
    assert broken(rna(genes=["SOX10", *GENES[1:]])) == [("gene_label", "'SOX10'")]


def test_long_tables_may_name_genes_as_they_like():
    assert check(rna(genes=["A", "B", "C"], layout="long")) == []


def test_an_entrez_number_standing_twice():
    genes = ["SOX10 (6663)", "DOM (6663)", "IRF4 (3662)"]
    assert broken(rna(genes=genes)) == [("rna_gene_unique", "DOM (6663)", "SOX10 (6663)")]


def test_a_symbol_standing_twice_is_only_warned_of():
    (finding,) = check(rna(genes=["SOX10 (6663)", "SOX10 (1)", "IRF4 (3662)"]))
    assert (finding.rule, finding.severity) == ("rna_symbol_unique", "warning")


def test_a_table_without_genes():
    assert broken(rna(np.empty((2, 0)), genes=[])) == [("table_empty", "no column of a gene")]


def test_two_default_profiles_of_a_line():
    raw = rna(cell_lines=["ACH-000001"] * 2, is_default=["Yes", "Yes"])
    assert broken(raw) == [("one_default_profile", "ACH-000001: 2")]


def test_two_rows_of_a_line_where_there_are_no_flags():
    assert broken(rna(cell_lines=["ACH-000001"] * 2)) == [("one_default_profile", "ACH-000001: 2")]


def test_a_line_without_a_default_profile():
    assert broken(rna(is_default=["Yes", "No"])) == [("one_default_profile", "ACH-000002: 0")]


def test_no_default_profile_at_all_never_means_all_of_them():
    assert broken(rna(is_default=["No", "No"])) == [
        ("default_profiles_exist", "no profile is marked")
    ]


def test_default_profiles_are_not_judged_by_flags_that_cannot_be_read():
    assert check(rna(is_default=["perhaps", "Yes"])) == []

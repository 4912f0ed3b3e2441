"""What is reported of an RNA table: its genes, its default profiles, its values."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.dataset import Dataset
from schemas.parameters import Contract
from schemas.rna_rules import check_rna
from schemas.screen import RawRna, TableSource

GENES = ["SOX10 (6663)", "HLA-A (3105)", "IRF4 (3662)"]
Found = list[tuple[str, int, tuple[str, ...]]]


def broken(
    values: object = None,
    genes: list[str] = GENES,
    lines: tuple[str, ...] = ("ACH-000001", "ACH-000002"),
    layout: str = "several_profiles",
    units: str = "log2_tpm",
    flags: list[str] | None = None,
) -> Found:
    """Check an RNA table whose first row stands on line 2; return rule, count and found."""
    rows = pd.RangeIndex(2, 2 + len(lines))
    if values is None:
        values = np.arange(len(lines) * len(genes), dtype=float).reshape(len(lines), -1)
    profiles = pd.DataFrame({"cell_line": lines}, rows, dtype="str")
    profiles = profiles if flags is None else profiles.assign(is_default=flags)
    source = TableSource("rna", "rna.csv", layout, "0" * 64)
    raw = RawRna(source, profiles, pd.DataFrame(np.asarray(values), rows, pd.Index(genes)))
    content: dict[str, Any] = {"name": "s", "release": "1", "library": "KY", "logfc": "l.csv"}
    dataset = Dataset.model_validate(content | {"rna_units": units})
    findings = check_rna(raw, dataset, Contract())
    assert {one.table for one in findings} <= {"rna"}
    return [(one.rule, one.count, one.found) for one in findings]


def value(number: float, centre: float = 0) -> np.ndarray:
    """Return values 0 to 5, less a centre, the fourth of them this number."""
    values = np.arange(6.0).reshape(2, 3) - centre
    values[1, 0] = number
    return values


CELL = "line 3, SOX10 (6663): "


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (-0.1, "rna_not_negative"),
        (0, ""),
        (20, ""),
        (20.1, "rna_high"),
        (40, "rna_high"),
        (40.1, "rna_not_linear"),
        (np.inf, "rna_finite"),
    ],
)
def test_log2_tpm_has_its_range(number: float, rule: str):
    assert broken(value(number)) == ([(rule, 1, (f"{CELL}{number:g}",))] if rule else [])


@pytest.mark.parametrize(
    ("number", "rule"),
    [(9.9, ""), (10, ""), (10.1, "rna_z_score"), (-10.1, "rna_z_score"), (-np.inf, "rna_finite")],
)
def test_z_scores_have_their_range(number: float, rule: str):
    found = [one for one in broken(value(number, 2), units="z_score") if "centred" not in one[0]]
    assert found == ([(rule, 1, (f"{CELL}{number:g}",))] if rule else [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 1, 2], [9, 8, np.nan]], [("rna_z_score_signed", 6, ("the smallest is 0",))]),
        ([[0.0, 0, 0], [0, 0, 0]], []),
        ([[-1.0, 0, 2], [1, 2, 0]], []),
        ([[-1.0, 0, 2.4], [1, 2, -0.2]], [("rna_z_score_centred", 1, ("IRF4 (3662): 1.1",))]),
        (
            [[-3.0, 0, np.inf], [0.1, -2.1, 5]],
            [
                ("rna_finite", 1, ("line 2, IRF4 (3662): inf",)),
                ("rna_z_score_centred", 3,
                 ("SOX10 (6663): -1.4", "HLA-A (3105): -1.1", "IRF4 (3662): 5")),
            ],
        ),
    ],
)  # fmt: skip
def test_z_scores_lie_about_zero(values: object, expected: Found):
    found = [one for one in broken(values, units="z_score") if one[0] != "rna_missing"]
    assert found == expected


def test_missing_values_are_counted_and_empty_rows_and_columns_are_errors():
    assert broken([[0, np.nan, 2], [np.nan] * 3]) == [
        ("rna_missing", 4, ("67 % of 6 values",)),
        ("rna_gene_known", 1, ("HLA-A (3105)",)),
        ("rna_profile_known", 1, ("line 3",)),
    ]


@pytest.mark.parametrize(
    ("genes", "expected"),
    [
        ([], [("table_empty", 1, ("no column of a gene",))]),
        (["SOX10", *GENES[1:]], [("gene_label", 1, ("'SOX10'",))]),
        (["SOX10 (6663)", "DOM (6663)", "SOX10 (2)"],
         [("rna_gene_unique", 2, ("DOM (6663)", "SOX10 (6663)"))]),
        (["SOX10 (6663)", "HLA-A (3105)", "SOX10 (1)"],
         [("rna_symbol_unique", 2, ("SOX10 (1)", "SOX10 (6663)"))]),
    ],
)  # fmt: skip
def test_genes_are_labelled_once_and_in_their_form(genes: list[str], expected: Found):
    values = np.arange(2.0 * len(genes)).reshape(2, len(genes))
    assert broken(values, genes) == expected


@pytest.mark.parametrize(
    ("lines", "flags", "rule", "found"),
    [
        (("ACH-000001", "ACH-000001"), [" Yes", "No"], "", ""),
        (("ACH-000001", "ACH-000001 "), ["Yes", "Yes"], "one_default_profile", "ACH-000001: 2"),
        (("ACH-000001", "ACH-000001"), None, "one_default_profile", "ACH-000001: 2"),
        (("ACH-000001", "ACH-000002"), ["Yes", "No"], "one_default_profile", "ACH-000002: 0"),
        (("ACH-000001", "ACH-000002"), ["No", "0"],
         "default_profiles_exist", "no profile is marked"),
        (("ACH-000001", "ACH-000001"), ["perhaps", "Yes"], "", ""),  # `flag` is reported instead
    ],
)  # fmt: skip
def test_each_line_has_one_default_profile(
    lines: tuple[str, ...], flags: list[str] | None, rule: str, found: str
):
    assert broken(lines=lines, flags=flags) == ([(rule, 1, (found,))] if rule else [])

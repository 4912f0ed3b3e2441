"""What is reported of an RNA table: its genes, its default profiles, its values."""

import numpy as np
import pandas as pd
import pytest

from schemas.dataset import Dataset
from schemas.parameters import Contract
from schemas.tables.containers import RawProfiles, TableSource
from schemas.tables.rna import check_rna

GENES = ["SOX10 (6663)", "HLA-A (3105)", "IRF4 (3662)"]
Found = list[tuple[str, int, tuple[str, ...]]]


def broken(
    values: object = None,
    genes: list[str] = GENES,
    lines: tuple[str, ...] = ("ACH-000001", "ACH-000002"),
    flags: list[str] | None = None,
) -> Found:
    """Check an RNA table whose first row stands on line 2; return rule, count and found."""
    rows = pd.RangeIndex(2, 2 + len(lines))
    if values is None:
        values = np.arange(len(lines) * len(genes), dtype=float).reshape(len(lines), -1)
    profiles = pd.DataFrame({"cell_line": lines}, rows, dtype="str")
    profiles = profiles if flags is None else profiles.assign(is_default=flags)
    source = TableSource("rna", "rna.csv", "several_profiles", "0" * 64)
    raw = RawProfiles(source, profiles, pd.DataFrame(np.asarray(values), rows, pd.Index(genes)))
    dataset = Dataset(name="s", release="1", library="KY", logfc="l.csv")
    findings = check_rna(raw, dataset, Contract())
    assert {one.table for one in findings} <= {"rna"}
    return [(one.rule, one.count, one.found) for one in findings]


@pytest.mark.parametrize(
    ("lines", "flags", "rule", "found"),
    [
        (("ACH-000001", "ACH-000001"), [" Yes", "No"], "", ""),
        (("ACH-000001", "ACH-000001"), None, "one_default_profile", "ACH-000001: 2"),
        (("ACH-000001", "ACH-000001"), ["perhaps", "Yes"], "", ""),  # `flag` is reported instead
    ],
)  # fmt: skip
def test_each_line_has_one_default_profile(lines, flags, rule, found):
    assert broken(lines=lines, flags=flags) == ([(rule, 1, (found,))] if rule else [])


LINES = tuple(f"ACH-00000{number}" for number in range(5))
COPIES = np.array([[1, 2, 3], [2, 2, 1], [4, 2, 2], [2, 3, 2], [2, 1, 2]], dtype=float)


COUNTS, LOW = COPIES * [[1, 1, 30]], 1.4 + COPIES / 9


@pytest.mark.parametrize(("values", "expected"), [(COUNTS, [("rna_not_linear", 4)]), (LOW, [])])
def test_counts_of_reads_and_low_rna_are_no_copy_numbers(values, expected):
    found = [(rule, count) for rule, count, _ in broken(values, lines=LINES)]
    assert [one for one in found if "copy" in one[0] or "linear" in one[0]] == expected


def test_values_are_judged_of_default_profiles_alone_each_under_its_line():
    genes = [f"G{number} ({number})" for number in range(8)]
    values = np.random.default_rng(2).uniform(0, 9, (3, 8))
    values[1] = 5.0
    lines = ("ACH-000001", "ACH-000001", "ACH-000002")
    assert broken(values, genes, lines, ["Yes", "No", "Yes"]) == []
    ((rule, _, found),) = broken(values, genes, lines, ["No", "Yes", "Yes"])
    assert (rule, found) == ("rna_profile_constant", ("line 3, ACH-000001: 5 in every gene",))


@pytest.mark.parametrize(("scale", "rule"), [(1, []), (np.log10(2), ["rna_not_tpm"]),
                                             (np.log(2), ["rna_not_tpm"])])  # fmt: skip
def test_tpm_of_a_whole_table_add_up_to_a_million(scale: float, rule: list[str]):
    tpm = np.exp(np.random.default_rng(1).normal(0, 2.2, size=(6, 12_000)))
    values = np.log2(1e6 * tpm / tpm.sum(axis=1, keepdims=True) + 1)
    genes, lines = [f"G{i} ({i})" for i in range(12_000)], tuple(f"ACH-00000{i}" for i in range(6))
    assert [one[0] for one in broken(values * scale, genes, lines)] == rule
    values[2, :6000] = np.nan
    values[2, 6000:] *= scale / 2
    assert "rna_profile_not_tpm" in [one[0] for one in broken(values, genes, lines)]

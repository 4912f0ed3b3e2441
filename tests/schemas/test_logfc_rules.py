"""Each rule of the logFC table, over more than one block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from schemas.coverage_rules import check_coverage
from schemas.logfc_rules import LogfcChecks
from schemas.parameters import Contract, FitParameters
from schemas.reports import Finding
from schemas.screen import LogfcBlock, TableSource
from schemas.tables import CheckedTables

GUIDES = [f"ACGTACGTACGTACGT{last}" for last in ("AAAA", "AAAC", "AAAG", "AAAT")]
SEQUENCES = ("a1", "a2", "b1")
NOTHING = CheckedTables(None, None, None, None, None, (), (), (), ())


@dataclass(frozen=True)
class Logfc:
    sequences: tuple[str, ...] = SEQUENCES
    layout: str = "current"

    @property
    def source(self) -> TableSource:
        return TableSource("logfc", "logfc.csv", self.layout, "0" * 64)

    def blocks(self) -> Iterator[LogfcBlock]:
        raise AssertionError("blocks are given one by one")


def values() -> np.ndarray:
    return np.array([[-2.0, -1.8, -2.2], [-1.0, -1.2, -0.9], [0.1, 0.0, -0.1], [0.2, 0.3, 0.1]])


def tables() -> CheckedTables:
    genes = ["A (1)", "A (1)", "B (2)", "B (2)"]
    return CheckedTables(
        guide_map=pd.DataFrame(
            {
                "guide": GUIDES,
                "gene": genes,
                "n_alignments": pd.array([1] * 4, dtype="Int64"),
                "used": True,
            }
        ),
        sequence_map=pd.DataFrame(
            {
                "sequence": SEQUENCES,
                "cell_line": ["ACH-000001", "ACH-000001", "ACH-000002"],
                "screen_type": "2DS",
                "library": "Avana",
                "passes_qc": True,
                "excluded": False,
            }
        ),
        profiles=pd.DataFrame(
            {"cell_line": ["ACH-000002", "ACH-000001", "ACH-000009"], "is_default": True}
        ),
        rna=pd.DataFrame(1.0, index=range(3), columns=["B (2)", "A (1)"]),
        model_table=None,
        essential=("A (1)",),
        nonessential=("B (2)",),
        expression_addictions=(),
        findings=(),
    )


def changed(table: str, **columns: object) -> CheckedTables:
    sound = tables()
    return replace(sound, **{table: getattr(sound, table).assign(**columns)})


def run(
    guides: list[str | None],
    matrix: np.ndarray,
    checked: CheckedTables = NOTHING,
    layout: str = "current",
    n_rows: int = 2,
) -> LogfcChecks:
    """Give the table in blocks of `n_rows` guides."""
    checks = LogfcChecks(Logfc(layout=layout), checked, "Avana", Contract())
    for start in range(0, len(guides), n_rows):
        labels = np.array(guides[start : start + n_rows], dtype=object)
        checks.add(LogfcBlock(labels, matrix[start : start + n_rows], start + 2))
    return checks


def broken(
    guides: list[str | None], matrix: np.ndarray, checked: CheckedTables = NOTHING
) -> list[tuple[str, ...]]:
    return [(f.rule, *f.found) for f in run(guides, matrix, checked).findings()]


def finding_of(matrix: np.ndarray) -> Finding:
    (finding,) = run([*GUIDES], matrix).findings()
    return finding


def test_a_sound_table_breaks_no_rule():
    checks = run([*GUIDES], values(), tables())
    assert checks.findings() == []
    assert checks.n_guides == 4


@pytest.mark.parametrize("guide", ["ACGTACGTACGTACGTAC", "acgtacgtacgtacgtacgt", "N" * 20])
def test_a_guide_of_another_form_is_named_with_its_line(guide: str):
    assert broken([*GUIDES[:2], guide, GUIDES[3]], values()) == [
        ("guide_sequence", f"line 4: {guide!r}")
    ]


def test_long_tables_may_name_guides_as_they_like():
    assert run(["g1", "g2", "g3", "g4"], values(), layout="long_simulated").findings() == []


def test_a_guide_without_a_label():
    assert broken([*GUIDES[:3], None], values()) == [("value_missing", "line 5")]


def test_a_guide_after_one_without_a_label_is_judged():
    assert broken([None, "N" * 20, *GUIDES[2:]], values()) == [
        ("value_missing", "line 2"),
        ("guide_sequence", f"line 3: {'N' * 20!r}"),
    ]


def test_a_guide_standing_twice_in_different_blocks():
    assert broken([*GUIDES[:3], GUIDES[0]], values()) == [
        ("guide_unique", f"line 5: {GUIDES[0]!r}, first on line 2")
    ]


def test_a_guide_that_the_map_does_not_have():
    other = "T" * 20
    assert ("guide_in_map", f"line 5: {other!r}") in broken(
        [*GUIDES[:3], other], values(), tables()
    )


def guides_kept(n_kept: int, checked: CheckedTables, **contract: float) -> list[Finding]:
    checks = LogfcChecks(Logfc(), checked, "Avana", Contract(**contract))
    checks.add(LogfcBlock(np.array(GUIDES[:n_kept], dtype=object), values()[:n_kept], 2))
    return checks.findings()


def test_a_table_cut_between_two_rows():
    (finding,) = guides_kept(3, tables())
    assert (finding.rule, finding.severity) == ("guides_retained", "error")
    assert finding.expected.startswith("at least 90% of the usable guides")
    assert finding.expected.endswith("; 3 of 4 are")
    assert finding.found == (GUIDES[3],)


def test_a_few_guides_lost_are_warned_of():
    (finding,) = guides_kept(3, tables(), min_guides_retained=0.75)
    assert (finding.rule, finding.severity) == ("guides_lost", "warning")
    assert finding.found == (GUIDES[3],)


def test_guides_that_are_not_usable_may_be_absent():
    assert guides_kept(3, changed("guide_map", used=[True, True, True, False])) == []


def test_long_tables_need_not_hold_every_guide_of_a_map():
    assert run([*GUIDES[:3]], values()[:3], tables(), layout="long").findings() == []


@pytest.mark.parametrize(
    ("value", "rule"), [(np.inf, "logfc_finite"), (-np.inf, "logfc_finite"), (-15.1, "logfc_range")]
)
def test_values_no_screen_has(value: float, rule: str):
    matrix = values()
    matrix[2, 1] = value
    finding = finding_of(matrix)
    assert (finding.rule, finding.severity) == (rule, "error")
    assert finding.found == (f"line 4, a2: {value:g}",)


def test_the_limit_itself_is_in_range():
    matrix = values()
    matrix[2, 1] = -15
    assert run([*GUIDES], matrix).findings() == []


@pytest.mark.parametrize("n_rows", [2, 4])
def test_the_first_ten_cells_of_all_blocks_are_shown_and_all_are_counted(n_rows: int):
    (finding,) = run([*GUIDES], values() + 100, n_rows=n_rows).findings()
    assert (finding.count, len(finding.found)) == (12, 10)
    assert finding.found[0] == "line 2, a1: 98"
    assert finding.found[-1] == "line 5, a1: 100.2"


def test_missing_values_beside_an_infinite_one_are_not_out_of_range():
    matrix = values()
    matrix[0, 1] = np.nan
    matrix[1, 2] = np.inf
    assert broken([*GUIDES], matrix) == [
        ("logfc_finite", "line 3, b1: inf"),
        ("logfc_missing", "8.3 % of 12 values"),
    ]


def test_all_guides_of_all_blocks_are_kept():
    guides = [f"G{number}" for number in range(30)]
    (finding,) = run([*guides], np.arange(90.0).reshape(30, 3) / 9).findings()
    assert (finding.rule, len(finding.found)) == ("guide_sequence", 30)


def test_sequences_with_the_same_values_are_warned_of():
    matrix = values()
    matrix[:, 2] = matrix[:, 0]
    finding = finding_of(matrix)
    assert (finding.rule, finding.severity) == ("sequence_copied", "warning")
    assert finding.found == ("a1 = b1",)
    matrix[[1, 2], 2] = matrix[[2, 1], 2]
    assert run([*GUIDES], matrix).findings() == []


def test_sequences_that_differ_in_the_sign_of_one_value_are_no_copies():
    n = 300
    matrix = np.repeat(np.random.default_rng(1).normal(size=(n, 1)), n, axis=1)
    matrix[np.diag_indices(n)] *= -1
    labels = np.array([f"s{number}" for number in range(n)], dtype=object)
    checks = LogfcChecks(Logfc(tuple(labels), "long_simulated"), NOTHING, "Avana", Contract())
    for rows in (slice(0, 150), slice(150, n)):
        checks.add(LogfcBlock(labels[rows], matrix[rows], rows.start + 2))
    assert checks.findings() == []


def test_missing_values_are_counted_and_warned_of():
    matrix = values()
    matrix[0, 1] = matrix[3, 0] = np.nan
    finding = finding_of(matrix)
    assert (finding.rule, finding.severity, finding.count) == ("logfc_missing", "warning", 2)
    assert finding.found == ("17 % of 12 values",)


def test_a_guide_without_any_value():
    matrix = values()
    matrix[3] = np.nan
    assert ("guide_measured", f"line 5: {GUIDES[3]!r}") in broken([*GUIDES], matrix)


def test_a_sequence_without_any_value_in_any_block():
    matrix = values()
    matrix[:, 1] = np.nan
    assert ("sequence_measured", "'a2'") in broken([*GUIDES], matrix)
    matrix[3, 1] = 0
    assert "sequence_measured" not in [rule for rule, *_ in broken([*GUIDES], matrix)]


def test_a_sequence_with_values_in_the_first_block_only_is_measured():
    matrix = values()
    matrix[2:, 1] = np.nan
    assert broken([*GUIDES], matrix) == [("logfc_missing", "17 % of 12 values")]


def test_one_row_measures_a_sequence_and_none_does_not():
    assert broken([GUIDES[0]], values()[:1]) == []
    matrix = values()
    matrix[:, 1] = np.nan
    checks = run([*GUIDES], matrix)
    checks.add(LogfcBlock(np.array([], dtype=object), np.empty((0, 3)), 6))
    assert ("sequence_measured", ("'a2'",)) in [(f.rule, f.found) for f in checks.findings()]


def test_a_table_without_rows():
    assert broken([], np.empty((0, 3))) == [("table_empty",)]


def test_controls_the_wrong_way_round():
    swapped = replace(tables(), essential=("B (2)",), nonessential=("A (1)",))
    assert broken([*GUIDES], values(), swapped) == [
        ("controls_separated", "median 0.10 of essentials, -1.80 of non-essentials")
    ]


def test_controls_that_deplete_alike_are_not_separated():
    matrix = values()
    matrix[2:] = matrix[:2]
    assert broken([*GUIDES], matrix, tables()) == [
        ("controls_separated", "median -1.80 of essentials, -1.80 of non-essentials")
    ]


def test_values_out_of_range_count_among_controls_as_the_limit():
    matrix = values()
    matrix[:2] += 100
    matrix[2:] -= 100
    assert (
        "controls_separated",
        "median 15.00 of essentials, -15.00 of non-essentials",
    ) in broken([*GUIDES], matrix, tables())


@pytest.mark.parametrize(("rows", "name"), [([0, 1], "essential"), ([2, 3], "nonessential")])
def test_controls_without_any_value(rows: list[int], name: str):
    matrix = values()
    matrix[rows] = np.nan
    findings = run([*GUIDES], matrix, tables()).findings()
    assert ("controls_measured", f"logfc+{name}") in [(f.rule, f.table) for f in findings]


def test_controls_are_judged_on_usable_sequences_only():
    matrix = values()
    matrix[:2, :2] = 14
    assert "controls_separated" in [rule for rule, *_ in broken([*GUIDES], matrix, tables())]
    assert broken([*GUIDES], matrix, changed("sequence_map", passes_qc=[False, False, True])) == []


def test_controls_are_judged_on_usable_guides_only():
    matrix = values()
    matrix[0, :] = matrix[1, 0] = 14
    assert "controls_separated" in [rule for rule, *_ in broken([*GUIDES], matrix, tables())]
    assert broken([*GUIDES], matrix, changed("guide_map", used=[False, True, True, True])) == []


def test_of_a_guide_on_several_rows_of_the_map_the_usable_one_counts():
    checked = tables()
    assert checked.guide_map is not None
    unused = checked.guide_map.iloc[[0]].assign(used=False)
    several = replace(checked, guide_map=pd.concat([unused, checked.guide_map, unused]))
    coverage = run([*GUIDES], values(), several).coverage()
    assert coverage is not None
    assert coverage.n_guides.tolist() == [2, 2]


def test_of_a_sequence_on_several_rows_of_the_map_the_first_counts():
    checked = tables()
    assert checked.sequence_map is not None
    again = checked.sequence_map.iloc[[0]].assign(cell_line="ACH-000002")
    several = replace(checked, sequence_map=pd.concat([checked.sequence_map, again]))
    matrix = values()
    matrix[:, 1:] = np.nan
    coverage = run([*GUIDES], matrix, several).coverage()
    assert coverage is not None
    assert coverage.measured.tolist() == [[True, False], [True, False]]


def test_coverage_passes_over_sequences_that_are_not_usable():
    matrix = values()
    matrix[:2, 1] = np.nan
    spoilt = changed("sequence_map", passes_qc=[False, True, True])
    coverage = run([*GUIDES], matrix, spoilt).coverage()
    assert coverage is not None
    assert coverage.measured.tolist() == [[False, True], [True, True]]


def test_coverage_passes_over_guides_that_are_not_usable():
    spoilt = changed("guide_map", used=[False, True, True, True])
    matrix = values()
    matrix[2:] = np.nan  # only the first gene has values; the last must not get those of no gene
    coverage = run([*GUIDES], matrix, spoilt).coverage()
    assert coverage is not None
    assert coverage.n_guides.tolist() == [1, 0]
    assert coverage.measured.tolist() == [[True, True], [False, False]]


def test_coverage_passes_over_guides_that_the_map_does_not_have():
    matrix = values()
    matrix[1] = np.nan
    coverage = run(["T" * 20, GUIDES[0], *GUIDES[2:]], matrix, tables()).coverage()
    assert coverage is not None
    assert coverage.n_guides.tolist() == [0, 2]
    assert coverage.measured.tolist() == [[False, False], [True, True]]


def test_coverage_counts_guides_and_lines_that_have_a_value():
    matrix = values()
    matrix[0] = np.nan
    matrix[1, 2] = np.nan
    coverage = run([*GUIDES], matrix, tables()).coverage()
    assert coverage is not None
    assert coverage.join.genes.tolist() == ["A (1)", "B (2)"]
    assert coverage.join.cell_lines.tolist() == ["ACH-000001", "ACH-000002"]
    assert coverage.n_guides.tolist() == [1, 2]
    assert coverage.measured.tolist() == [[True, False], [True, True]]


def test_coverage_adds_up_the_blocks_that_hold_guides_of_a_gene():
    by_turns = [0, 2, 1, 3]
    matrix = np.full((4, 3), np.nan)
    matrix[0, 2] = matrix[2, 0] = -1  # of A (1), each guide in another line
    matrix[1] = 0.1  # of B (2), the first guide alone
    coverage = run([GUIDES[guide] for guide in by_turns], matrix, tables()).coverage()
    assert coverage is not None
    assert coverage.n_guides.tolist() == [2, 1]
    assert coverage.measured.tolist() == [[True, True], [True, True]]
    few, *_ = check_coverage(coverage, FitParameters())
    assert (few.rule, few.found) == ("guides_per_gene", ("B (2): 1",))


def test_no_coverage_without_the_other_tables():
    assert run([*GUIDES], values()).coverage() is None

"""What is reported of a logFC table that comes in blocks, and what it covers of the join."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.parameters import Contract
from schemas.tables.containers import LogfcBlock, TableSource
from schemas.tables.coverage import JoinCoverage, join_of
from schemas.tables.logfc import LogfcChecks
from schemas.tables.maps import CheckedTables
from tests.schemas.tables.small_tables import GUIDES, LINES, NOTHING, SEQUENCES, changed, tables

Labels = Sequence[str | None]
Found = list[tuple[str, str, int, tuple[str, ...]]]
NAN = np.nan


def values(*changes: tuple[Any, Any]) -> np.ndarray:
    """Sound values, some of them replaced."""
    matrix = np.array(
        [[-2, -1.8, -2.2, -1.9], [-1, -1.2, -0.9, -1.3], [0.1, 0, -0.1, 0.2], [0.2, 0.3, 0.1, 0.4]]
    )
    for where, value in changes:
        matrix[where] = value
    return matrix


def checked(
    matrix: np.ndarray,
    guides: Labels = GUIDES,
    given: CheckedTables = NOTHING,
    layout: str = "current",
    n_rows: int = 2,
    **contract: float,
) -> LogfcChecks:
    names = SEQUENCES if matrix.shape[1] == 4 else [f"s{i}" for i in range(matrix.shape[1])]
    limits = Contract.model_validate(contract)
    table: Any = SimpleNamespace(
        sequences=tuple(names), source=TableSource("logfc", "logfc.csv", layout, "0" * 64)
    )
    checks = LogfcChecks(table, given, "Avana", limits)
    for start in range(0, len(guides), n_rows):
        labels = np.array(guides[start : start + n_rows], dtype=object)
        checks.add(LogfcBlock(labels, matrix[start : start + n_rows], start + 2))
    return checks


def found_by(checks: LogfcChecks, *, whole: bool = True) -> Found:
    return [(f.rule, f.table, f.count, f.found) for f in checks.findings(whole=whole)]


def broken(
    matrix: np.ndarray, guides: Labels = GUIDES, given: CheckedTables = NOTHING, **how: float
) -> list[tuple[str, tuple[str, ...]]]:
    return [(rule, found) for rule, _, _, found in found_by(checked(matrix, guides, given, **how))]  # type: ignore[arg-type]


def test_a_guide_has_one_row_in_all_blocks_together():
    found = broken(values(), [*GUIDES[:3], GUIDES[1]])
    assert found == [("guide_unique", (f"line 5: {GUIDES[1]!r}, first on line 3",))]


def test_one_row_is_enough_and_guides_of_long_tables_have_any_form_and_need_not_be_all():
    assert broken(values()[:1], GUIDES[:1]) == []
    long = checked(values(), ["g1", "g2", "g3", "g4"], layout="long_simulated")
    few = checked(values()[:3], GUIDES[:3], tables(), layout="long")
    assert found_by(long) == found_by(few) == []


def test_guides_are_compared_with_the_map():
    kept = checked(values()[:3], GUIDES[:3], tables(), min_guides_retained=0.75)
    assert found_by(kept) == [("guides_lost", "logfc+guide_map", 1, (GUIDES[3],))]
    unused = changed("guide_map", used=[True, True, True, False])
    assert broken(values()[:3], GUIDES[:3], unused) == []


@pytest.mark.parametrize("n_rows", [2, 4])
def test_the_first_cells_of_all_blocks_are_shown_and_all_are_counted(n_rows: int):
    ((rule, _, count, found),) = found_by(checked(values() + 100, n_rows=n_rows))
    assert (rule, count, len(found)) == ("logfc_range", 16, 10)
    assert (found[0], found[-1]) == ("line 2, a1: 98", "line 4, a2: 100")


def test_of_a_part_of_the_table_single_rows_alone_are_reported():
    part = checked(values((0, NAN), ((1, 1), 99))[:2], GUIDES[:2], tables())
    assert [rule for rule, *_ in found_by(part, whole=False)] == ["logfc_range", "guide_measured"]
    assert found_by(checked(np.empty((0, 4)), []), whole=False) == []


def test_controls_are_compared_on_usable_sequences_and_guides_alone():
    high = values((0, 14), ((1, 0), 14))
    assert [rule for rule, _ in broken(high, given=tables())] == ["controls_separated"]
    assert broken(high, given=changed("guide_map", used=[False, True, True, True])) == []
    high = values((np.s_[:2, :3], 14))
    failed = changed("sequence_map", passes_qc=[False, False, False, True, True])
    assert broken(high, given=failed) == []


def coverage(
    matrix: np.ndarray, guides: Labels = GUIDES, given: CheckedTables | None = None
) -> JoinCoverage:
    found = checked(matrix, guides, given or tables()).coverage()
    assert found is not None and found.join.cell_lines.tolist() == LINES
    return found


def first_sequence_again(**other: str | bool) -> CheckedTables:
    """The tables with the first row of the sequence map before and after its others, changed."""
    frame = tables().sequence_map
    assert frame is not None
    again = frame.iloc[[0]].assign(**other)
    return replace(tables(), sequence_map=pd.concat([again, frame, again]))


ALL = "+++"


@pytest.mark.parametrize(
    ("found", "n_guides", "measured"),
    [
        (lambda: coverage(values()), [2, 2], [ALL, ALL]),
        (lambda: coverage(values((0, NAN), ((1, 2), NAN))), [1, 2], ["+-+", ALL]),
        (lambda: coverage(  # blocks that hold a guide of each gene
         values((slice(None), NAN), ((0, 2), -1), ((2, 0), -1), ((1, 3), 0.1)),
         [GUIDES[place] for place in (0, 2, 1, 3)]), [2, 1], ["++-", "--+"]),
        (lambda: coverage(  # a guide that the map does not have
         values((1, NAN)), ["T" * 20, GUIDES[0], *GUIDES[2:]]), [0, 2], ["---", ALL]),
        (lambda: coverage(
         values(([2, 3], NAN)), given=changed("guide_map", used=[False, True, True, True])), [1, 0],
         [ALL, "---"]),
        (lambda: coverage(values((np.s_[:, 1:], NAN)),
         given=first_sequence_again(cell_line="ACH-000002", passes_qc=False)), [2, 2],
         ["+--", "+--"]),
    ],
)  # fmt: skip
def test_coverage_counts_guides_and_lines_with_a_usable_value(found, n_guides, measured):
    one = found()
    assert one.n_guides.tolist() == n_guides
    assert ["".join("-+"[bit] for bit in row) for row in one.measured.astype(int)] == measured


def test_the_join_has_genes_and_lines_of_usable_rows_and_default_profiles():
    usable = changed("guide_map", used=[True, True, True, False])
    failed = changed("sequence_map", passes_qc=[False, True, True, True, True])
    profiles = {"cell_line": [*LINES[:2], *LINES[:2]], "is_default": [False, True, True, False]}
    rna = pd.DataFrame({"B (2)": [1.0, 2.0, NAN, NAN], "A (1)": [1.0, NAN, 2.0, 3.0]})
    others = {"sequence_map": failed.sequence_map, "profiles": pd.DataFrame(profiles), "rna": rna}
    join = join_of(replace(usable, **others), ["a1", "a2", "b1"], "Avana")
    assert join is not None
    assert (join.genes.tolist(), join.cell_lines.tolist()) == (["A (1)", "B (2)"], LINES[:2])
    assert join.has_rna.tolist() == [[True, False], [False, True]]


def test_there_is_no_coverage_without_rows_or_the_other_tables():
    assert checked(values()).coverage() is None
    assert checked(np.empty((0, 4)), [], tables()).coverage() is None

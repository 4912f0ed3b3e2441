"""How a broken rule becomes a finding."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.findings import MOST_KEPT, MOST_SHOWN, Rule, at_line, first_cells, share

RULE = Rule("short", "at most {limit:g} of {what}", "cut it", "warning")


def test_a_finding_has_the_words_of_its_rule():
    finding = RULE.broken("rna", ["a", "b"], column="gene", limit=0.5, what="them")
    assert finding.model_dump() == {
        "table": "rna",
        "rule": "short",
        "severity": "warning",
        "column": "gene",
        "expected": "at most 0.5 of them",
        "found": ("a", "b"),
        "count": 2,
        "mend": "cut it",
    }


def test_a_rule_is_an_error_and_speaks_of_no_column_unless_it_says_so():
    finding = Rule("short", "less", "cut it").broken("rna", ["a"], count=9)
    assert (finding.severity, finding.column, finding.count) == ("error", "", 9)


def test_a_finding_keeps_so_many_values_and_counts_them_all():
    finding = Rule("short", "less", "cut it").broken("rna", ["a"] * (MOST_KEPT + 2))
    assert (len(finding.found), finding.count) == (MOST_KEPT, MOST_KEPT + 2)


def test_a_value_is_shown_with_its_line():
    assert at_line(3, "a b") == "line 3: 'a b'"
    assert at_line(3, 1.5) == "line 3: '1.5'"


def test_the_first_cells_are_found_by_row_then_by_column():
    bad = np.zeros((30, 4), dtype=bool)
    bad[[5, 5, 20], [3, 1, 0]] = True
    assert list(first_cells(bad)) == [(5, 1), (5, 3), (20, 0)]
    assert (
        list(first_cells(~np.zeros((30, 4), dtype=bool)))
        == [(row, column) for row in range(30) for column in range(4)][:MOST_SHOWN]
    )
    assert list(first_cells(np.eye(30, dtype=bool))) == [(row, row) for row in range(MOST_SHOWN)]
    assert not list(first_cells(np.zeros((3, 4), dtype=bool)))


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (1, 3, "33 % of 3 values"),
        (5, 200_000, "0.0025 % of 200,000 values"),
        (2, 2, "100 % of 2 values"),
        (995, 1000, "99.5 % of 1,000 values"),
        (9996, 10_000, "100 % of 10,000 values"),
        (994, 1000, "99 % of 1,000 values"),
    ],
)
def test_a_share_has_two_digits(part: int, whole: int, said: str):
    assert share(part, whole) == said

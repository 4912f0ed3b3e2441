"""How a broken rule becomes a finding."""

import numpy as np

from schemas.findings import MOST_KEPT, MOST_SHOWN, Rule, at_line, first_cells, share


def test_a_finding_has_the_words_of_its_rule():
    rule = Rule("short", "at most {limit:g} of {what}", "cut it", "warning")
    finding = rule.broken("rna", ["a", "b"], column="gene", limit=0.5, what="them")
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


def test_a_rule_is_an_error_of_no_column_by_default_and_keeps_so_many_values():
    finding = Rule("short", "less", "cut it").broken("rna", ["a"], count=9)
    assert (finding.severity, finding.column, finding.count) == ("error", "", 9)
    finding = Rule("short", "less", "cut it").broken("rna", ["a"] * (MOST_KEPT + 2))
    assert (len(finding.found), finding.count) == (MOST_KEPT, MOST_KEPT + 2)
    assert (at_line(3, "a b"), at_line(3, 1.5)) == ("line 3: 'a b'", "line 3: '1.5'")


def test_the_first_cells_are_found_by_row_then_by_column():
    bad = np.zeros((30, 4), dtype=bool)
    assert not list(first_cells(bad))
    bad[[5, 5, 20], [3, 1, 0]] = True
    assert list(first_cells(bad)) == [(5, 1), (5, 3), (20, 0)]
    places = [(row, column) for row in range(30) for column in range(4)]
    assert list(first_cells(np.ones((30, 4), dtype=bool))) == places[:MOST_SHOWN]
    assert list(first_cells(np.eye(30, dtype=bool))) == [(row, row) for row in range(MOST_SHOWN)]


def test_a_share_has_two_digits():
    assert share(1, 3) == "33 % of 3 values"
    assert share(5, 200_000) == "0.0025 % of 200,000 values"
    assert [share(n, 1000).split()[0] for n in (994, 995, 1000)] == ["99", "99.5", "100"]
    assert share(9996, 10_000) == "100 % of 10,000 values"

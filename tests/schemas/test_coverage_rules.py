"""Each rule of what the join covers: what breaks it, and that full coverage does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from schemas.coverage_rules import Join, JoinCoverage, check_coverage
from schemas.parameters import FitParameters
from schemas.reports import Finding

PARAMETERS = FitParameters()


def covered(measured: np.ndarray, n_guides: list[int] | None = None) -> list[Finding]:
    n_genes, n_lines = measured.shape
    join = Join(
        pd.Index([f"G{gene} ({gene})" for gene in range(n_genes)]),
        pd.Index([f"ACH-{line:06}" for line in range(n_lines)]),
        np.ones(measured.shape, dtype=bool),
    )
    guides = np.array(n_guides or [4] * n_genes)
    return check_coverage(JoinCoverage(join, guides, measured), PARAMETERS)


def test_full_coverage_breaks_no_rule():
    assert covered(np.ones((3, 6), dtype=bool)) == []


def test_genes_with_few_guides_are_warned_of():
    (finding,) = covered(np.ones((3, 6), dtype=bool), [4, 1, 2])
    assert (finding.rule, finding.severity) == ("guides_per_gene", "warning")
    assert finding.found == ("G1 (1): 1",)


def test_genes_with_few_lines_are_warned_of():
    measured = np.ones((3, 6), dtype=bool)
    measured[2, 2:] = False
    (finding,) = covered(measured)
    assert (finding.rule, finding.severity) == ("cell_lines_per_gene", "warning")
    assert finding.found == ("G2 (2): 2",)


def test_few_guides_are_warned_of_in_genes_that_any_line_has():
    measured = np.ones((3, 6), dtype=bool)
    measured[1, 1:] = measured[2] = False
    assert [(f.rule, f.found) for f in covered(measured, [4, 1, 1])] == [
        ("guides_per_gene", ("G1 (1): 1",)),
        ("cell_lines_per_gene", ("G1 (1): 1", "G2 (2): 0")),
    ]


def test_no_gene_left_with_enough_lines():
    assert [f.rule for f in covered(np.ones((3, 4), dtype=bool))] == ["genes_left"]


@pytest.mark.parametrize("shape", [(0, 6), (3, 0)])
def test_an_empty_join_has_been_told_of_by_the_rules_across_tables(shape: tuple[int, int]):
    assert covered(np.ones(shape, dtype=bool)) == []


def test_two_parts_that_share_no_line_are_named():
    measured = np.zeros((3, 12), dtype=bool)
    measured[:2, :7] = True
    measured[2, 7:] = True
    (finding,) = covered(measured)
    assert (finding.rule, finding.severity) == ("connected", "error")
    assert finding.found[0].startswith("1 genes (G2 (2)) x 5 cell lines (ACH-000007, ")


def test_of_a_part_ten_members_are_named():
    measured = np.zeros((23, 22), dtype=bool)
    measured[:12, :12] = True
    measured[12:, 12:] = True
    (finding,) = covered(measured)
    genes = ", ".join(f"G{gene} ({gene})" for gene in range(12, 22))
    lines = ", ".join(f"ACH-{line:06}" for line in range(12, 22))
    assert finding.found == (f"11 genes ({genes}, ...) x 10 cell lines ({lines})",)


def test_one_shared_line_links_two_parts():
    measured = np.zeros((2, 12), dtype=bool)
    measured[0, :7] = True
    measured[1, 6:] = True
    assert covered(measured) == []


def test_lines_without_rna_do_not_link():
    measured = np.ones((2, 11), dtype=bool)
    has_rna = np.ones((2, 11), dtype=bool)
    has_rna[0, 6:] = False
    has_rna[1, :6] = False
    join = Join(pd.Index(["A", "B"]), pd.Index(range(11)), has_rna)
    (finding,) = check_coverage(JoinCoverage(join, np.array([2, 2]), measured), PARAMETERS)
    assert finding.rule == "connected"

"""What the tables have in common, and what is reported of how much of it is measured."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from schemas.coverage_rules import Join, JoinCoverage, check_coverage, join_of
from schemas.parameters import FitParameters
from tests.schemas.small_tables import LINES, SEQUENCES, changed, tables


def covered(
    *lines_of_genes: tuple[int, int],
    n_lines: int = 12,
    n_guides: list[int] | None = None,
    without_rna: dict[int, slice] | None = None,
) -> list[tuple[str, tuple[str, ...]]]:
    """Check genes that are measured in lines from the first to before the second number."""
    measured = np.array([[a <= i < b for i in range(n_lines)] for a, b in lines_of_genes])
    has_rna = np.ones_like(measured)
    for gene, lines in (without_rna or {}).items():
        has_rna[gene, lines] = False
    genes = pd.Index([f"G{gene} ({gene})" for gene in range(len(measured))])
    join = Join(genes, pd.Index([f"ACH-{line:06}" for line in range(n_lines)]), has_rna)
    coverage = JoinCoverage(join, np.array(n_guides or [4] * len(genes)), measured)
    return [(f.rule, f.found) for f in check_coverage(coverage, FitParameters())]


ELEVEN = ", ".join(f"G{gene} ({gene})" for gene in range(12, 22))
TEN = ", ".join(f"ACH-{line:06}" for line in range(12, 22))
FIVE = ", ".join(f"ACH-{line:06}" for line in range(7, 12))
ALL = (0, 12)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (covered(ALL, (0, 5)), []),
        (covered(ALL, ALL, ALL, n_guides=[4, 1, 2]), [("guides_per_gene", ("G1 (1): 1",))]),
        (covered(ALL, (3, 7)), [("cell_lines_per_gene", ("G1 (1): 4",))]),
        (covered((0, 4), (0, 3), n_lines=6),
         [("genes_left", ("2 genes and 6 cell lines in all tables",))]),
        (covered((0, 7), (0, 7), (7, 12)),
         [("connected", (f"1 genes (G2 (2)) x 5 cell lines ({FIVE})",))]),
        (covered(*[ALL] * 12, *[(12, 22)] * 11, n_lines=22),
         [("connected", (f"11 genes ({ELEVEN}, ...) x 10 cell lines ({TEN})",))]),
    ],
)  # fmt: skip
def test_coverage_is_checked_by_gene_and_as_a_whole(found: object, expected: object):
    assert found == expected


def test_lines_without_rna_do_not_count_and_do_not_link():
    halves = {0: slice(6, None), 1: slice(0, 6)}
    assert [rule for rule, _ in covered(ALL, ALL, without_rna=halves)] == ["connected"]
    few = covered(ALL, ALL, without_rna={1: slice(4, None)})
    assert few == [("cell_lines_per_gene", ("G1 (1): 4",))]


def test_the_join_has_genes_and_lines_of_usable_rows_and_default_profiles():
    join = join_of(tables(), SEQUENCES, "Avana")
    assert join is not None
    assert (join.genes.tolist(), join.cell_lines.tolist()) == (["A (1)", "B (2)"], LINES)
    assert join.has_rna.tolist() == [[True] * 3, [True] * 3]
    profiles = pd.DataFrame({"cell_line": [*LINES[:2], *LINES[:2]]})
    rna = pd.DataFrame({"B (2)": [1.0, 2.0, np.nan, np.nan], "A (1)": [1.0, np.nan, 2.0, 3.0]})
    usable = replace(
        changed("guide_map", used=[True, True, True, False]),
        sequence_map=changed(
            "sequence_map", passes_qc=[False, True, True, True, True]
        ).sequence_map,
        profiles=profiles.assign(is_default=[False, True, True, False]),
        rna=rna,
    )
    join = join_of(usable, ["a1", "a2", "b1"], "Avana")
    assert join is not None
    assert (join.genes.tolist(), join.cell_lines.tolist()) == (["A (1)", "B (2)"], LINES[:2])
    assert join.has_rna.tolist() == [[True, False], [False, True]]
    assert join_of(replace(tables(), rna=None), SEQUENCES, "Avana") is None

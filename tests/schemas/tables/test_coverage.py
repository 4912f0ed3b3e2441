"""What the tables have in common, and what is reported of how much of it is measured."""

from dataclasses import replace

import numpy as np
import pandas as pd

from schemas.parameters import FitParameters
from schemas.tables.coverage import Join, JoinCoverage, check_coverage, join_of
from tests.schemas.tables.small_tables import LINES, SEQUENCES, changed, tables


def found_without_rna(of: dict[int, slice]) -> list[tuple[str, tuple[str, ...]]]:
    """Check two genes measured in twelve lines, of which some have no RNA of a gene."""
    has_rna = np.ones((2, 12), bool)
    for gene, lines in of.items():
        has_rna[gene, lines] = False
    join = Join(pd.Index(["G0 (0)", "G1 (1)"]), pd.Index([f"c{n}" for n in range(12)]), has_rna)
    coverage = JoinCoverage(join, np.full(2, 4), np.ones((2, 12), bool))
    return [(f.rule, f.found) for f in check_coverage(coverage, FitParameters())]


def test_lines_without_rna_do_not_count_and_do_not_link():
    halves = {0: slice(6, None), 1: slice(0, 6)}
    assert [rule for rule, _ in found_without_rna(halves)] == ["connected"]
    few = found_without_rna({1: slice(4, None)})
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

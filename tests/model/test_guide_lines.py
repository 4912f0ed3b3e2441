"""Guide-line cells of a design agree with a pandas groupby over its measurements."""

from __future__ import annotations

import numpy as np
import pytest

from model.guide_lines import guide_lines
from tests.designs import design_from_rows
from tests.model.exact.pieces import random_rows


def test_guide_line_cells_are_the_groups_of_the_measurements():
    rows = random_rows(4, n_genes=4)
    rows = rows[(rows.gene != "g1") | (rows.cell_line != "c2")].reset_index(drop=True)
    rows["cell"] = rows.groupby(["gene", "cell_line"]).ngroup()
    rows["several"] = rows.groupby("cell").guide.transform("nunique") > 1
    design, groups = design_from_rows(rows), rows.groupby(["guide", "cell_line"])
    first, count = groups[["gene", "rna", "cell", "several"]].first().reset_index(), groups.size()
    found = guide_lines(design)
    for name in ("guide", "gene", "cell_line"):
        labels = np.array(design.labels[name])[getattr(found, name)]
        assert labels.tolist() == first[name].tolist()
    assert found.cell.tolist() == first["cell"].tolist()
    assert found.several_guides.tolist() == first["several"].tolist()
    assert set(first["several"]) == {True, False}
    assert found.n_gene_lines == 15  # the cell without measurements has no number
    assert found.count.tolist() == count.tolist()
    assert found.guide_gene.tolist() == [int(guide[1]) for guide in design.guides]
    assert found.guide_count.tolist() == rows.groupby("guide").size().tolist()
    np.testing.assert_array_equal(found.rna, first["rna"])
    np.testing.assert_allclose(found.mean, groups.logfc.mean())
    squares = (rows.logfc - groups.logfc.transform("mean")) ** 2
    assert found.within_ss == pytest.approx(squares.sum())
    assert found.within_df == (count - 1).sum()
    np.testing.assert_allclose(found.line_within_ss, squares.groupby(rows.cell_line).sum())
    assert found.line_within_df.tolist() == (count - 1).groupby("cell_line").sum().tolist()

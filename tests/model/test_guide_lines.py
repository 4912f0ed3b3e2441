"""The guide-line cells of a design, beside its rows grouped by pandas."""

from __future__ import annotations

import numpy as np
import pytest

from model.guide_lines import guide_lines
from tests.designs import design_from_rows
from tests.model.test_nested import unbalanced


def test_cells_are_those_of_the_rows():
    rows = unbalanced()
    of_gene_line = rows.groupby(["gene", "cell_line"])
    rows["cell"] = of_gene_line.ngroup()
    rows["several"] = of_gene_line["guide"].transform("nunique") > 1
    design = design_from_rows(rows)
    of_guide_line = rows.groupby(["guide", "cell_line"], sort=True)
    found = guide_lines(design)
    labels = of_guide_line[["gene", "rna", "cell", "several"]].first().reset_index()
    assert [design.guides[guide] for guide in found.guide] == labels["guide"].tolist()
    assert [design.cell_lines[line] for line in found.cell_line] == labels["cell_line"].tolist()
    assert [design.genes[gene] for gene in found.gene] == labels["gene"].tolist()
    np.testing.assert_array_equal(found.rna, labels["rna"])
    np.testing.assert_array_equal(found.count, of_guide_line.size())
    np.testing.assert_allclose(found.mean, of_guide_line["logfc"].mean())
    assert [design.genes[gene] for gene in found.guide_gene] == [
        guide.partition("/")[0] for guide in design.guides
    ]
    # Numbers of gene-line cells leave out the cell without a measurement.
    assert found.n_gene_lines == 11
    assert found.cell.tolist() == labels["cell"].tolist()
    np.testing.assert_array_equal(found.guide_count, rows.groupby("guide").size())
    assert found.several_guides.tolist() == labels["several"].tolist()
    apart = (rows["logfc"] - of_guide_line["logfc"].transform("mean")) ** 2
    df = of_guide_line.size() - 1
    assert found.within_ss == pytest.approx(apart.sum())
    assert found.within_df == df.sum()
    np.testing.assert_allclose(found.line_within_ss, apart.groupby(rows["cell_line"]).sum())
    np.testing.assert_array_equal(found.line_within_df, df.groupby("cell_line").sum())

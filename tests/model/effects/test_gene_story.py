"""The story of a gene: its data by RNA and guide as they are, and what a name may mean."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model.effects.gene_story import NoSuchGene, find_gene, gene_story
from tests.designs import design_from_rows


def test_the_story_of_a_gene_is_that_of_its_measurements():
    rna = (np.arange(10) - 4.5) / 2
    rows = [
        {"gene": "A (1)", "guide": guide, "cell_line": f"L{n}", "rna": r, "logfc": slope * r}
        for guide, slope in (("a1", -1.0), ("a2", 0.5))
        for n, r in enumerate(rna)
    ]
    effects = pd.DataFrame({"gene": ["C (3)", "A (1)"], "beta_mean": [np.nan, -1.0]})
    influence = pd.DataFrame({"gene": ["A (1)", "B (2)", "A (1)"], "change_in_sd": [0.5, 9, -1.5]})
    influence = influence.assign(cell_line=["L0", "L0", "L1"], beta_without=0.0, lfsr_without=0.0)
    design = design_from_rows(pd.DataFrame(rows))
    design = replace(design, cell_line_name=("", "HEL", *[""] * 8))
    story = gene_story("A (1)", effects, design, influence)
    assert story.rank == 1 and list(story.lines["change_in_sd"]) == [-1.5, 0.5]
    assert list(story.lines["cell_line"]) == ["L1 (HEL)", "L0"]
    assert story.guides[["guide", "n_cell_lines"]].to_numpy().tolist() == [["a1", 10], ["a2", 10]]
    np.testing.assert_allclose(story.guides["slope"], [-1, 0.5])
    np.testing.assert_allclose(story.by_rna["rna_low"], rna[::2])
    np.testing.assert_allclose(story.by_rna["logfc"].iloc[0], -0.25 * (rna[0] + rna[1]) / 2)


def test_a_gene_is_found_by_any_of_its_names_or_the_closest_is_named():
    genes = ["MARCH1 (55016)", "SOX10 (6663)", "X (1)", "X (2)"]
    for name in ("SOX10 (6663)", "sox10", " 6663 "):
        assert find_gene(name, genes) == "SOX10 (6663)"
    for name, words in (("SOX11", "mean SOX10"), ("x", r"X \(1\), X \(2\)"), ("?", "the 4 fitted")):
        with pytest.raises(NoSuchGene, match=words):
            find_gene(name, genes)

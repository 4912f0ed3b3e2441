"""What two screens share, compared with screens built from their rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model.comparison.shared_screens import NotShared, SharedScreens
from tests.designs import nested_rows, of_lines
from tests.model.comparison.test_attribution import standardised

LINES = ["c001", "c002", "c003", "c004"]
"""Of both; A also has c000, B c005."""
OF_BOTH = {"g001 (11)": "g001 (11)", "g002 (12)": "z (12)", "g003 (13)": "g003 (13)"}
"""Label in A: label in B, which changes the order; A has a gene before them, B two after."""
Rows = tuple[pd.DataFrame, pd.DataFrame]
SMALL = nested_rows(n_genes=3, n_lines=6, n_guides=2, n_replicates=1)[0]
DESIGN = standardised(SMALL)


@pytest.fixture(scope="module")
def screens() -> Rows:
    """Rows of A and B: other lines, genes, guides, RNA and log fold changes."""

    def rows(n_replicates: int, seed: int) -> pd.DataFrame:
        found, _ = nested_rows(6, 6, 3, n_replicates, seed)
        return found.assign(gene=[f"{gene} ({10 + int(gene[1:])})" for gene in found.gene])

    a, b = rows(1, 3), rows(2, 4)
    a = a[(a.cell_line != "c005") & (a.gene < "g004") & (a.guide != "g001/0")]
    b = b[(b.cell_line != "c000") & (b.gene >= "g001") & (b.guide != "g003/2")]
    return a, b.assign(gene=b.gene.replace(OF_BOTH))


@pytest.mark.parametrize("rna_of_b", [False, True])
@pytest.mark.parametrize("of_b", [(), ("c003",), ("c001", "c004"), LINES])
def test_each_line_has_the_data_of_the_screen_it_is_taken_from(screens, of_b, rna_of_b):
    a, b = screens
    shared = SharedScreens(standardised(a), standardised(b))
    assert (shared.genes, list(shared.cell_lines)) == (tuple(sorted(OF_BOTH.values())), LINES)
    found = shared.mixed(of_b, rna_of_b=rna_of_b)
    a = a[a.gene.isin(OF_BOTH)].assign(gene=a.gene.map(OF_BOTH))
    b = b[b.gene.isin(OF_BOTH.values())]
    rows = pd.concat([a[~a.cell_line.isin(of_b)], b[b.cell_line.isin(of_b)]])
    rows = rows[rows.cell_line.isin(LINES)].drop(columns="rna")
    rna = (b if rna_of_b else a)[["gene", "cell_line", "rna"]].drop_duplicates()
    expected = standardised(rows.merge(rna, on=["gene", "cell_line"]))
    assert found.labels == expected.labels
    assert found.rna_is_log2
    for name in ("guide_gene", "count", "rna", "rna_mean", "rna_sd", "total", "sum_of_squares"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-12)


def test_z_scores_stay_as_they_are_given_and_other_covariates_are_centred(screens: Rows):
    a, b = (replace(standardised(rows), rna_is_log2=False) for rows in screens)
    copies = np.random.default_rng(1).normal(size=b.rna.shape)
    shared = SharedScreens(a, replace(b, covariates={"copy_number": copies}))
    assert not shared.mixed((), rna_of_b=False).covariates["copy_number"].any()
    found = shared.mixed(("c003",), rna_of_b=True)
    genes, lines = map(b.genes.index, found.genes), map(b.cell_lines.index, LINES)
    of_shared = np.ix_([*genes], [*lines])
    given, measured = b.rna[of_shared], np.where(found.gene_count > 0, copies[of_shared], np.nan)
    assert not found.rna_is_log2
    np.testing.assert_array_equal(found.rna, given)
    np.testing.assert_allclose(found.rna_mean, given.mean(axis=1))
    np.testing.assert_allclose(found.rna_sd, given.std(axis=1, ddof=1))
    expected = copies[of_shared] - np.nanmean(measured, axis=1, keepdims=True)
    np.testing.assert_allclose(found.covariates["copy_number"], expected)


@pytest.mark.parametrize("constant", ["a", "b"])
def test_genes_whose_rna_does_not_vary_in_both_are_left_out(constant: str):
    rna = DESIGN.rna.copy()
    rna[1] = np.linspace(0, 1e-9, 6) / DESIGN.rna_sd[1]
    flat = replace(DESIGN, rna=rna)
    screens = SharedScreens(*((flat, DESIGN) if constant == "a" else (DESIGN, flat)))
    for of_b, rna_of_b in (((), False), (DESIGN.cell_lines, True)):
        found = screens.mixed(of_b, rna_of_b=rna_of_b)
        assert found.genes == ("g000", "g002")
        assert found.guides == ("g000/0", "g000/1", "g002/0", "g002/1")


def test_three_lines_and_a_gene_whose_rna_varies_are_needed():
    a, b = of_lines(DESIGN, range(4)), of_lines(DESIGN, range(1, 6))
    found = SharedScreens(a, b).mixed((), rna_of_b=False)
    assert found.cell_lines == ("c001", "c002", "c003")
    with pytest.raises(NotShared, match="2 cell lines, expected at least 3"):
        SharedScreens(of_lines(a, range(3)), b)
    with pytest.raises(NotShared, match="no shared gene has RNA that varies"):
        SharedScreens(a, replace(a, rna=np.zeros_like(a.rna)))

"""What two screens share, mixed from their rows by hand and prepared anew."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model.design import ScreenDesign
from model.shared_screens import NotShared, SharedScreens
from tests.designs import nested_rows, of_lines
from tests.model.test_attribution import standardised

LINES = ["c001", "c002", "c003", "c004"]
"""Of both: A has c000 besides, B c005."""
OF_BOTH = {"g001 (11)": "g001 (11)", "g002 (12)": "z (12)", "g003 (13)": "g003 (13)"}
"""Label in A: label in B, which sorts them otherwise; A has a gene before them, B two after."""


@pytest.fixture(scope="module")
def screens() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of A and B: other lines, genes, guides, RNA and log fold changes."""
    rows, _ = nested_rows(n_genes=6, n_lines=6, n_guides=3, n_replicates=1, seed=3)
    rows["gene"] = [f"{gene} ({10 + int(gene[1:])})" for gene in rows.gene]
    of_a = rows[(rows.cell_line != "c005") & (rows.gene < "g004") & (rows.guide != "g001/0")]
    others, _ = nested_rows(n_genes=6, n_lines=6, n_guides=3, n_replicates=2, seed=4)
    others["gene"] = [f"{gene} ({10 + int(gene[1:])})" for gene in others.gene]
    of_b = others[
        (others.cell_line != "c000") & (others.gene >= "g001") & (others.guide != "g003/2")
    ]
    return of_a, of_b.assign(gene=of_b.gene.replace(OF_BOTH))


def by_hand(
    screens: tuple[pd.DataFrame, pd.DataFrame], of_b: Collection[str], *, rna_of_b: bool
) -> ScreenDesign:
    a, b = screens
    a = a[a.gene.isin(OF_BOTH)].assign(gene=a.gene.map(OF_BOTH))
    b = b[b.gene.isin(OF_BOTH.values())]
    rows = pd.concat([a[~a.cell_line.isin(of_b)], b[b.cell_line.isin(of_b)]])
    rows = rows[rows.cell_line.isin(LINES)].drop(columns="rna")
    rna = (b if rna_of_b else a)[["gene", "cell_line", "rna"]].drop_duplicates()
    return standardised(rows.merge(rna, on=["gene", "cell_line"]))


@pytest.mark.parametrize("rna_of_b", [False, True])
@pytest.mark.parametrize("of_b", [(), ("c003",), ("c001", "c004"), LINES])
def test_each_line_has_the_data_of_the_one_it_was_asked_from(
    screens: tuple[pd.DataFrame, pd.DataFrame], of_b: Collection[str], rna_of_b: bool
) -> None:
    a, b = (standardised(rows) for rows in screens)
    shared = SharedScreens(a, b)
    assert (shared.genes, list(shared.cell_lines)) == (tuple(sorted(OF_BOTH.values())), LINES)
    found = shared.mixed(of_b, rna_of_b=rna_of_b)
    expected = by_hand(screens, of_b, rna_of_b=rna_of_b)
    assert found.labels == expected.labels
    assert found.rna_is_log2
    for name in ("guide_gene", "count"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("rna", "rna_mean", "rna_sd", "total", "sum_of_squares"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-12)


def test_z_scores_stay_as_they_are_given(screens: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    a, b = (replace(standardised(rows), rna_is_log2=False) for rows in screens)
    found = SharedScreens(a, b).mixed(("c003",), rna_of_b=True)
    given = b.rna[[b.genes.index(gene) for gene in found.genes]]
    given = given[:, [b.cell_lines.index(line) for line in LINES]]
    assert not found.rna_is_log2
    np.testing.assert_array_equal(found.rna, given)
    np.testing.assert_allclose(found.rna_mean, given.mean(axis=1))
    np.testing.assert_allclose(found.rna_sd, given.std(axis=1, ddof=1))


def without(design: ScreenDesign, gene: int, lines: Collection[str]) -> ScreenDesign:
    """The design with no measurement of a gene in some lines."""
    count, total, squares = (
        values.copy() for values in (design.count, design.total, design.sum_of_squares)
    )
    gone = np.isin(design.cell_lines, list(lines))
    mine = design.guide_gene == gene
    count[np.ix_(mine, gone)] = 0
    total[np.ix_(mine, gone)] = 0
    squares[gene, gone] = 0
    return replace(design, count=count, total=total, sum_of_squares=squares)


@pytest.fixture(scope="module")
def design() -> ScreenDesign:
    return standardised(nested_rows(n_genes=3, n_lines=6, n_guides=2, n_replicates=1)[0])


def test_rna_is_standardised_over_the_lines_a_gene_is_measured_in(design: ScreenDesign) -> None:
    """A single measurement is enough."""
    measured = [0, 2, 3, 5]
    a = without(design, 1, ["c001", "c004"])
    a.count[design.guides.index("g001/0"), 5] = 0
    found = SharedScreens(a, design).mixed((), rna_of_b=False)
    raw = 3 + nested_rows(n_genes=3, n_lines=6, n_guides=2, n_replicates=1)[0].pivot_table(
        index="gene", columns="cell_line", values="rna"
    )
    own = raw.iloc[1, measured]
    assert found.rna_mean[1] == pytest.approx(own.mean())
    assert found.rna_sd[1] == pytest.approx(own.std())
    np.testing.assert_allclose(found.rna[1], (raw.iloc[1] - own.mean()) / own.std())
    np.testing.assert_allclose(found.rna_mean[[0, 2]], raw.iloc[[0, 2]].mean(axis=1))


def test_a_gene_that_a_mixture_does_not_measure_keeps_its_first_guide(
    design: ScreenDesign,
) -> None:
    first, last = design.cell_lines[:3], design.cell_lines[3:]
    screens = SharedScreens(without(design, 1, first), without(design, 1, last))
    assert screens.mixed((), rna_of_b=False).guides == design.guides
    found = screens.mixed(last, rna_of_b=False)
    assert found.genes == design.genes
    assert found.guides == ("g000/0", "g000/1", "g001/0", "g002/0", "g002/1")
    assert found.guide_gene.tolist() == [0, 0, 1, 2, 2]
    mine = found.guide_gene == 1
    assert not found.count[mine].any() and not found.total[mine].any()
    assert (found.count[~mine] == 1).all()
    assert found.rna_mean[1] == found.rna_sd[1] == 0


def test_rna_of_a_gene_that_a_mixture_measures_in_one_line_is_finite(design: ScreenDesign) -> None:
    last = design.cell_lines[3:]
    screens = SharedScreens(without(design, 1, design.cell_lines[:3]), without(design, 1, last[1:]))
    found = screens.mixed(last, rna_of_b=False)
    assert (found.gene_count[1] > 0).tolist() == [False] * 3 + [True] + [False] * 2
    assert (found.rna[1, 3], found.rna_sd[1]) == (0, 0)


@pytest.mark.parametrize("constant", ["a", "b"])
def test_genes_whose_rna_does_not_vary_in_both_are_left_out(
    design: ScreenDesign, constant: str
) -> None:
    rna = design.rna.copy()
    rna[1] = np.linspace(0, 1e-9, 6) / design.rna_sd[1]
    flat = replace(design, rna=rna)
    screens = SharedScreens(*((flat, design) if constant == "a" else (design, flat)))
    for of_b, rna_of_b in (((), False), (design.cell_lines, True)):
        found = screens.mixed(of_b, rna_of_b=rna_of_b)
        assert found.genes == ("g000", "g002")
        assert found.guides == ("g000/0", "g000/1", "g002/0", "g002/1")


def test_three_lines_are_enough_and_two_are_not(design: ScreenDesign) -> None:
    found = SharedScreens(of_lines(design, range(4)), of_lines(design, range(1, 6))).mixed(
        (), rna_of_b=False
    )
    assert found.cell_lines == ("c001", "c002", "c003")
    with pytest.raises(NotShared, match="share 2 cell lines, expected at least 3"):
        SharedScreens(of_lines(design, range(3)), of_lines(design, range(1, 6)))

"""RNA and slopes within lineages: centring by loops, slopes by the dense normal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from model.left_out import Integrable, integrable, leave_out
from model.within_lineage import _centred, strata, within_lineages
from schemas.parameters import ModelName, Priors
from tests.designs import covariance_of_cells, design_from_rows
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, random_rows
from tests.model.sds import drawn_sds, typical

LINEAGE = ("Skin", "Lung", "", "Lung", "Skin", "", "Lung")


def unbalanced() -> pd.DataFrame:
    """One gene without a measurement in any line of Skin, another without one of Lung."""
    rows = random_rows(5, n_lines=7)
    unseen = (rows.gene == "g1") & rows.cell_line.isin(["c0", "c4"])
    return rows[~unseen & ~((rows.gene == "g2") & (rows.cell_line == "c3"))].reset_index(drop=True)


ROWS = unbalanced()


def screen_of(name: ModelName) -> Integrable:
    return integrable(name, design_from_rows(ROWS), Priors(), drawn_sds(name))


def centred_by_loops(name: ModelName, lineage: tuple[str, ...]) -> tuple[pd.Series, pd.Series]:
    """Return RNA less its weighted mean and the weight, by gene and cell line.

    The weight of a cell is the precision of the mean of its measurements, effects of guides known.
    """
    sd = {"sigma_gene_line": 0.0, "sigma_guide_line": 0.0, **typical(drawn_sds(name))}
    weight, rna = {}, {}
    cells = ROWS.drop_duplicates(["gene", "cell_line"])
    for gene, line in zip(cells.gene, cells.cell_line, strict=True):
        rows = ROWS[(ROWS.gene == gene) & (ROWS.cell_line == line)]
        weight[gene, line] = np.linalg.inv(covariance_of_cells(rows, sd)).sum()
        rna[gene, line] = rows.rna.iloc[0]
    left = {}
    for gene, line in weight:
        stratum = lineage[int(line[1:])]
        mine = [
            other
            for other in weight
            if other[0] == gene
            and (other[1] == line or (stratum and lineage[int(other[1][1:])] == stratum))
        ]
        mean = sum(weight[one] * rna[one] for one in mine) / sum(weight[one] for one in mine)
        left[gene, line] = rna[gene, line] - mean
    return pd.Series(left), pd.Series(weight)


def test_lines_of_a_lineage_are_a_stratum_and_those_of_none_are_alone():
    member = strata(LINEAGE)
    assert member.shape == (7, 4)
    assert (member.sum(axis=1) == 1).all()
    together = member @ member.T
    for one, name in enumerate(LINEAGE):
        for other, its in enumerate(LINEAGE):
            assert together[one, other] == (one == other or (name != "" and name == its))


def test_each_stratum_loses_its_weighted_mean():
    rna = np.array([[1.0, 4.0, 10.0, 7.0], [2.0, 2.0, 3.0, 5.0]])
    weight = np.array([[1.0, 2.0, 3.0, 1.0], [0.0, 0.0, 4.0, 0.0]])
    member = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    expected = [[-2.0, 1.0, 0.75, -2.25], [0.0, 0.0, 0.0, 0.0]]
    with np.errstate(all="raise"):
        np.testing.assert_allclose(_centred(rna, weight, member), expected, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_rna_within_lineages_is_what_loops_leave_of_it(name):
    screen = screen_of(name)
    inside, left = within_lineages(screen, LINEAGE)
    within, weight = centred_by_loops(name, LINEAGE)
    overall, _ = centred_by_loops(name, ("one",) * 7)
    labels = design_from_rows(ROWS).genes
    assert sorted(np.concatenate([block.genes for block in inside.blocks])) == [0, 1, 2]
    for block in inside.blocks:
        for gene, rna in zip(block.genes, block.rna, strict=True):
            expected = [within.get((labels[gene], f"c{line}"), 0.0) for line in range(7)]
            np.testing.assert_allclose(rna, expected, atol=1e-12)
    shares = (weight * within**2).groupby(level=0).sum() / (weight * overall**2).groupby(
        level=0
    ).sum()
    np.testing.assert_allclose(left, shares[list(labels)], rtol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_means_within_lineages_are_as_if_no_slope_had_been_taken_off(name):
    screen = screen_of(name)
    before = [block.reference.copy() for block in screen.blocks]
    inside, _ = within_lineages(screen, LINEAGE)
    for old, new, reference in zip(screen.blocks, inside.blocks, before, strict=True):
        np.testing.assert_array_equal(old.reference, reference)
        assert (new.reference[1] == 0).all()
        np.testing.assert_array_equal(np.delete(new.reference, 1, 0), np.delete(reference, 1, 0))
        for unit, gene, line in np.ndindex(*old.count.shape):
            slope = reference[1, gene] * old.rna[gene, line]
            expected = old.mean[unit, gene, line] + slope if old.count[unit, gene, line] else 0.0
            assert new.mean[unit, gene, line] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_slopes_within_lineages_are_those_of_the_dense_normal(monkeypatch, name):
    """Of one point, the dense normal of all effects with RNA as the loops leave it."""
    monkeypatch.setattr("model.left_out.MOST_WORK", 0)
    inside, _ = within_lineages(screen_of(name), LINEAGE)
    slopes = leave_out(inside, np.zeros((0, 7), bool)).whole
    within, _ = centred_by_loops(name, LINEAGE)
    rna = [within[key] for key in zip(ROWS.gene, ROWS.cell_line, strict=True)]
    sd = typical(drawn_sds(name))
    naive = dense(name, ROWS.assign(rna=rna), design_from_rows(ROWS), Priors(), sd)
    np.testing.assert_allclose(slopes.mean, naive.mean["beta_g"], atol=1e-9)
    np.testing.assert_allclose(slopes.sd, naive.sd("beta_g"), rtol=1e-8)

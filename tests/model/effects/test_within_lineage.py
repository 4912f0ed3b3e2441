"""RNA and slopes within lineages agree with loops over cells and with the dense normal."""

import numpy as np
import pandas as pd
import pytest

from model.effects.leave_groups_out import leave_out, leave_out_problem
from model.effects.within_lineage import within_lineages
from schemas.parameters import ModelName, Priors
from tests.designs import covariance_of_cells, design_from_rows, drawn_sds, typical
from tests.model.engines.exact.dense import dense
from tests.model.engines.exact.pieces import MODELS, random_rows

LINEAGE = ("Skin", "Lung", "", "Lung", "Skin", "", "Lung")


def unbalanced() -> pd.DataFrame:
    """One gene without a measurement in any line of Skin, another without one of Lung."""
    rows = random_rows(5, n_lines=7)
    unseen = (rows.gene == "g1") & rows.cell_line.isin(["c0", "c4"])
    return rows[~unseen & ~((rows.gene == "g2") & (rows.cell_line == "c3"))].reset_index(drop=True)


ROWS = unbalanced()
DESIGN = design_from_rows(ROWS)


def centred_by_loops(name: ModelName, lineage: tuple[str, ...]) -> pd.DataFrame:
    """Return RNA less its weighted mean in its lineage, and the weight, by gene and cell line.

    The weight of a cell is the precision of the mean of its measurements, effects of guides known;
    a line of unknown lineage has none to share.
    """
    sd = {"sigma_gene_line": 0.0, "sigma_guide_line": 0.0, **typical(drawn_sds(name))}
    groups = ROWS.groupby(["gene", "cell_line"])
    table = groups.agg(rna=("rna", "first")).reset_index()
    table["stratum"] = [lineage[int(line[1:])] or line for line in table.cell_line]
    table["weight"] = [np.linalg.inv(covariance_of_cells(rows, sd)).sum() for _, rows in groups]
    for _, own in table.groupby(["gene", "stratum"]):
        table.loc[own.index, "rna"] -= np.average(own.rna, weights=own.weight)
    return table.set_index(["gene", "cell_line"])


@pytest.mark.parametrize("name", MODELS)
def test_rna_and_slopes_within_lineages_agree_with_loops_and_the_dense_normal(monkeypatch, name):
    screen = leave_out_problem(name, DESIGN, Priors(), drawn_sds(name))
    with np.errstate(all="raise"):  # cells without measurements have no weight
        inside, left = within_lineages(screen, LINEAGE)
    within, overall = (centred_by_loops(name, strata) for strata in (LINEAGE, ("one",) * 7))
    shares = (within.weight * within.rna**2).groupby("gene").sum()
    shares /= (overall.weight * overall.rna**2).groupby("gene").sum()
    np.testing.assert_allclose(left, shares, rtol=1e-10)
    assert sorted(np.concatenate([block.genes for block in inside.blocks])) == [0, 1, 2]
    rna = within.rna.unstack(fill_value=0.0).to_numpy()
    for block in inside.blocks:
        np.testing.assert_allclose(block.columns[1], rna[block.genes], atol=1e-12)
    # One point stands for all, and the effects are one normal with this RNA.
    monkeypatch.setattr("model.effects.leave_groups_out.MOST_WORK", 0)
    slopes = leave_out(inside, np.zeros((0, 7), bool)).whole
    of_rows = within.rna.loc[list(zip(ROWS.gene, ROWS.cell_line, strict=True))].to_numpy()
    sd = typical(drawn_sds(name))
    expected = dense(name, ROWS.assign(rna=of_rows), DESIGN, Priors(), sd)
    np.testing.assert_allclose(slopes.mean, expected.mean["beta_g"], atol=1e-9)
    np.testing.assert_allclose(slopes.sd, expected.sd("beta_g"), rtol=1e-8)

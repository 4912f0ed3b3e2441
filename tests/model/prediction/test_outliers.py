"""Spread of cells around the fit, by gene and by line, agrees with loops over measurements."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import gamma

from model.prediction.outliers import (
    largest_outliers,
    noise_by_line,
    noise_ratios,
    spread_by,
    with_largest_outliers,
)
from model.prediction.predictive import data_groups, draw_prior
from schemas.parameters import Priors
from schemas.reports import Stage
from tests.designs import design_from_rows, nested_rows
from tests.model.predictive_checks import check_of, expectation

ROWS = nested_rows(n_genes=3, n_lines=4, n_guides=2, n_replicates=2)[0]
# Without some cells and replicates: only g000 is in c000, and c001 has one degree of freedom.
CELLS = ROWS.gene + ROWS.cell_line
ROWS = ROWS[~CELLS.isin(["g001c000", "g002c000", "g001c003"])]
DROPPED = [ROWS.index[ROWS.cell_line == line][1:end:2] for line, end in (("c001", 10), ("c002", 8))]
ROWS = ROWS[~ROWS.index.isin(np.concatenate(DROPPED))].reset_index(drop=True)
DESIGN = design_from_rows(ROWS)


def tree_of(genes: range = range(3)) -> xr.DataTree:
    """Two chains of four draws, of which every other one has replicates of some genes."""
    random, part = np.random.default_rng(1), DESIGN.of_genes(genes)
    chains = [draw_prior("m4_nested", DESIGN, Priors(), 4, seed) for seed in (1, 2)]
    posterior = 0.2 * xr.concat(chains, "chain").assign_coords(chain=[0, 1])
    means = part.cells.mean + random.normal(2, 0.1, (2, 2, part.cells.mean.size))
    replicates = xr.Dataset(
        {"cell_mean": (("chain", "draw", "cell"), means)}, {"chain": [0, 1], "draw": [0, 2]}
    )
    sigma = posterior["sigma"] * 0 + random.uniform(1.4, 1.6, (2, 4))
    groups = {"posterior": posterior.assign(sigma=sigma), "posterior_predictive": replicates}
    return xr.DataTree.from_dict(groups | data_groups(part))


def spreads(tree: xr.DataTree, rows: pd.DataFrame, what: str, replicated: bool) -> pd.DataFrame:
    """The spread of every gene or line (columns) in every draw that is replicated (rows)."""
    of_draws = []
    keys = [rows.gene, rows.cell_line]
    for chain, draw in ((0, 0), (0, 2), (1, 0), (1, 2)):
        at = {"chain": chain, "draw": draw}
        fitted = expectation(tree["posterior"].dataset.sel(at), rows)
        cells = rows.assign(away=rows.logfc - fitted, fitted=fitted).groupby(keys)
        away = cells.away.mean()
        if replicated:
            mean = tree["posterior_predictive"]["cell_mean"].sel(at).to_numpy()
            away = mean - cells.fitted.mean()
        of_draws.append(np.sqrt((cells.size() * away**2).groupby(level=what).mean()))
    return pd.DataFrame(of_draws).reset_index(drop=True)


@pytest.mark.parametrize("genes", [range(3), range(1, 3)])
def test_spread_is_around_the_expectation_of_each_draw_and_noise_around_the_mean_of_a_guide(
    genes, monkeypatch
):
    tree = tree_of(genes)
    rows = ROWS[ROWS.gene.isin([DESIGN.genes[gene] for gene in genes])]
    for what in ("gene", "cell_line"):
        replicates = spreads(tree, rows, what, replicated=True)
        expected = pd.DataFrame(
            {
                "data": spreads(tree, rows, what, replicated=False).mean(),
                "low": replicates.quantile(0.055),
                "middle": replicates.median(),
                "high": replicates.quantile(0.945),
            }
        )
        expected = expected.rename_axis(what).reset_index()
        pd.testing.assert_frame_equal(spread_by(tree, DESIGN, what), expected)
    groups = rows.groupby(["guide", "cell_line"]).logfc
    squares = ((rows.logfc - groups.transform("mean")) ** 2).groupby(rows.cell_line).sum()
    free = (groups.size() - 1).groupby("cell_line").sum()
    assert 1 in free.tolist()  # too few to show the noise of a line
    free = free[free > 1]
    expected = pd.DataFrame({"data": np.sqrt(squares[free.index] / free)})
    for name, mass in (("low", 0.055), ("middle", 0.5), ("high", 0.945)):
        chi_squared = gamma.ppf(mass, free / 2, scale=2)
        expected[name] = tree["posterior"]["sigma"].to_numpy().mean() * np.sqrt(chi_squared / free)
    pd.testing.assert_frame_equal(noise_by_line(tree, DESIGN), expected.reset_index())
    if len(genes) == 3:
        monkeypatch.setattr("model.prediction.outliers.FEWEST_DF", 2)
        ratios = (expected["data"] / expected["data"].median()).sort_values(ascending=False)
        assert dict(noise_ratios(DESIGN)) == pytest.approx(ratios.to_dict())
        assert [line for line, _ in noise_ratios(DESIGN)] == [*ratios.index]


def test_three_furthest_outside_their_interval_are_named_furthest_first():
    table = pd.DataFrame({"gene": list("ABCDEF"), "low": 0.5, "middle": 1.0, "high": 2.0})
    table["data"] = [0.5, 2.0, 4.0, 0.25, 4.0, 2.1]
    assert largest_outliers(table) == (("C", 4.0), ("D", 0.25), ("E", 4.0))
    assert largest_outliers(table.assign(middle=2.0))[0] == ("D", 0.125)
    assert largest_outliers(table[:2]) == largest_outliers(table.assign(data=np.nan)) == ()


def test_each_posterior_check_of_genes_or_lines_names_its_own_furthest_out():
    tree = tree_of()
    tables = {
        "gene_residual_spread": spread_by(tree, DESIGN, "gene"),
        "line_residual_spread": spread_by(tree, DESIGN, "cell_line"),
        "line_noise_spread": noise_by_line(tree, DESIGN),
    }
    stages: tuple[Stage, ...] = ("prior", "posterior")
    checks = [check_of(name, stage=stage) for name in (*tables, "sd") for stage in stages]
    found = with_largest_outliers(checks, tree, DESIGN)
    out = {(name, "posterior"): largest_outliers(table) for name, table in tables.items()}
    assert all(out.values())
    assert found == tuple(
        one.model_copy(update={"largest_outliers": out.get((one.name, one.stage), ())})
        for one in checks
    )

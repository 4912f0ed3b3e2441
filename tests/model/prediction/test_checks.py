"""Predictive checks agree with loops over measurements, and their p-values are shares of draws."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from model.prediction.checks import QUANTITIES, GuideCells, predictive_checks
from model.prediction.predictive import draw_prior, draws
from model.prediction.replicates import replicate_screens
from model.screen.design import guide_lines
from schemas.parameters import Priors
from tests.designs import design_from_rows, nested_rows

# RNA of a gene measured in one line has no SD, which no quantity uses.
pytestmark = pytest.mark.filterwarnings("ignore:Degrees of freedom")


WHOLE = nested_rows(n_genes=5, n_lines=4, n_guides=3, n_replicates=2)[0]
# g001 is measured once, g002 by one guide in two lines, c003 only by two guides, each twice;
# elsewhere replicates are missing.
ROWS = WHOLE[
    ((WHOLE.gene != "g001") | (WHOLE.index == WHOLE.index[WHOLE.gene == "g001"][0]))
    & ((WHOLE.gene != "g002") | WHOLE.guide.eq("g002/1") & WHOLE.cell_line.isin(["c000", "c003"]))
    & ((WHOLE.cell_line != "c003") | WHOLE.guide.isin(["g002/1", "g003/1"]))
]
ROWS = ROWS.drop(index=ROWS.index[ROWS.cell_line != "c003"][5::7]).reset_index(drop=True)


def guide_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a guide in a line: its mean, measurements, squares around the mean, and residual."""
    groups = rows.groupby(["gene", "guide", "cell_line"]).logfc
    cells = groups.agg(mean="mean", count="size", within=lambda x: ((x - x.mean()) ** 2).sum())
    cells["residual"] = np.random.default_rng(3).normal(0, 0.5, len(cells))
    return cells.reset_index()


def log_spread(cells: pd.DataFrame, group: str) -> float:
    squares = [own["count"] * own.residual**2 for _, own in cells.groupby(group) if len(own) > 1]
    return float(np.std([np.log(np.sqrt(one.mean())) for one in squares if one.sum() > 0]))


def mean_residual(cells: pd.DataFrame, group: str) -> pd.Series:
    """The mean residual over the measurements of the group of each guide-line cell."""
    weighted = (cells["count"] * cells.residual).groupby(cells[group]).transform("sum")
    return weighted / cells.groupby(group)["count"].transform("sum")


@pytest.mark.parametrize("exact", [None, ("gene", "g000"), ("cell_line", "c000")])
def test_quantities_agree_with_loops_over_measurements(exact):
    """A group without residuals, or a line whose replicates agree, has no log spread."""
    rows, cells = ROWS, guide_cells(ROWS)
    if exact:
        rows = ROWS.assign(logfc=ROWS.logfc.where(ROWS.cell_line != "c000", 2.0))
        cells = guide_cells(rows)
        cells.loc[cells[exact[0]] == exact[1], "residual"] = 0.0
    size = cells.residual.abs() * np.sqrt(cells["count"])
    between = mean_residual(cells, "guide") - mean_residual(cells, "gene")
    own = (cells.residual - mean_residual(cells, "guide")).groupby([cells.gene, cells.cell_line])
    several = [cell.tolist() for _, cell in own if len(cell) > 1]
    pairs = [a * b for cell in several for a, b in permutations(cell, 2)]
    lines = [(one.within.sum(), (one["count"] - 1).sum()) for _, one in cells.groupby("cell_line")]
    noise = [np.log(np.sqrt(squares / df)) for squares, df in lines if df > 1 and squares > 0]
    mean, within = cells["mean"].to_numpy(), np.array([squares for squares, _ in lines])
    layout = guide_lines(design_from_rows(rows))
    data = GuideCells(mean, within, mean - cells.residual.to_numpy(), layout)
    assert {name: one.compute(data) for name, one in QUANTITIES.items()} == pytest.approx(
        {
            "mean": rows.logfc.mean(),
            "sd": rows.logfc.std(),
            "quantile_05": np.quantile(mean, 0.05),
            "quantile_95": np.quantile(mean, 0.95),
            "tail_weight": size.quantile(0.99) / size.median(),
            "gene_residual_spread": log_spread(cells, "gene"),
            "line_residual_spread": log_spread(cells, "cell_line"),
            "line_noise_spread": np.std(noise),
            "guide_variance": (between.groupby(cells.guide).first() ** 2).mean(),
            "within_cell_correlation": np.mean(pairs) / np.mean(np.square(np.concatenate(several))),
            "within_guide_variance": cells.within.sum() / (cells["count"] - 1).sum(),
        }
    )


ALWAYS = {"mean", "sd", "quantile_05", "quantile_95", "tail_weight"}


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ("a/1 x, b/1 y", set()),
        ("a/1 x, a/1 y, b/1 x", set()),
        ("a/1 x, a/1 y, b/1 x, b/1 z", {"gene_residual_spread"}),
        ("a/1 x, b/1 x, c/1 y, d/1 y", {"line_residual_spread"}),
        ("a/1 x x", {"within_guide_variance"}),
        ("a/1 x x x, b/1 y y", {"within_guide_variance"}),
        ("a/1 x x x, b/1 y y y", {"within_guide_variance", "line_noise_spread"}),
        ("a/1 x, a/2 y", {"guide_variance"}),
        ("a/1 x, a/2 x", {"guide_variance", "within_cell_correlation"}),
    ],
)
def test_quantity_is_shown_by_the_smallest_screen_that_can_show_it(cells, shown):
    """Each cell is a guide of a gene and its line, once per measurement."""
    rows = [
        (guide[0], line, guide, 0.0, float(number))
        for guide, *lines in (cell.split() for cell in cells.split(", "))
        for number, line in enumerate(lines)
    ]
    columns = ["gene", "cell_line", "guide", "rna", "logfc"]
    layout = guide_lines(design_from_rows(pd.DataFrame(rows, columns=columns)))
    assert {name for name, one in QUANTITIES.items() if one.can_show(layout)} == ALWAYS | shown


def test_nan_in_a_draw_is_reported():
    design = design_from_rows(WHOLE)
    parameters = draw_prior("m4", design, Priors(), 20, seed=8)
    parameters["beta_g"][0, 5, 0] = np.nan
    table = replicate_screens(parameters, design, "posterior", seed=1).quantities
    found = {check.name: check.p_value for check in predictive_checks(table)}
    assert set(found) == set(QUANTITIES)
    of_replicates = {"within_guide_variance", "line_noise_spread"}
    assert {name for name, p in found.items() if not np.isnan(p)} == of_replicates


def test_quantities_of_data_and_replicate_are_computed_under_the_same_draw():
    """A screen without replicates of a guide shows no quantity of them."""
    design = design_from_rows(WHOLE[::2])
    parameters = draw_prior("m4", design, Priors(), 4, seed=8)
    layout, own_seeds = guide_lines(design), np.random.SeedSequence(3).spawn(4)
    hidden = ("within_guide_variance", "line_noise_spread")
    expected = []
    for number, draw in enumerate(draws(parameters, design)):
        fitted = draw.expected(layout)
        random = np.random.default_rng(own_seeds[number])
        parts = (layout.mean, layout.line_within_ss), draw.replicate(fitted, layout, random)
        data, replicate = (GuideCells(*part, fitted, layout) for part in parts)
        for order, (name, one) in enumerate(QUANTITIES.items()):
            if name not in hidden:
                values = one.compute(data), one.compute(replicate)
                expected.append((order, number, name, "prior", *values))
    columns = ["quantity", "stage", "observed", "replicated"]
    table = pd.DataFrame([row[2:] for row in sorted(expected)], columns=columns)
    found = replicate_screens(parameters, design, "prior", seed=3).quantities
    pd.testing.assert_frame_equal(found, table)


def test_check_reports_where_the_data_are_among_the_replicates():
    pairs = [(2.0, 1.0), (2.0, 2.0), (1.0, 3.0), (4.0, 3.5), (3.0, 7.0)]
    cases: dict[tuple[str, str], list[tuple[float, float]]] = {
        ("sd", "prior"): [(1.0, 5.0), (1.0, 6.0)],
        ("guide_variance", "posterior"): pairs,
        ("mean", "posterior"): [(1.0, 2.0), (np.inf, 1.0)],
        ("sd", "posterior"): [(1.0, 2.0), (1.0, np.nan)],
    }
    rows = [(*key, *pair) for key, of_draws in cases.items() for pair in of_draws]
    table = pd.DataFrame(rows, columns=["quantity", "stage", "observed", "replicated"])
    checks = predictive_checks(table)
    assert [(one.name, one.stage, one.n_draws) for one in checks] == [
        (*key, len(of_draws)) for key, of_draws in cases.items()
    ]
    # In one of the three draws that count the replicate equals the data.
    np.testing.assert_array_equal([one.p_value for one in checks], [1, 3 / 5, np.nan, np.nan])
    assert [one.bears_on_beta for one in checks] == [False, True, False, False]
    assert [one.description for one in checks] == [QUANTITIES[n].description for n, _ in cases]
    one = checks[1]
    found = one.observed, one.replicated_mean, one.replicated_low, one.replicated_high
    low, high = np.quantile([1.0, 2.0, 3.0, 3.5, 7.0], [0.055, 0.945])
    assert found == pytest.approx((2.4, 3.3, low, high))

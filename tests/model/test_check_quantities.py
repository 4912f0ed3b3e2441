"""What is checked, reckoned from the measurements by pandas and loops; `test_checks` has alarms."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from model.checks import QUANTITIES, GuideCells, predictive_checks, replicated_quantities
from model.design import ScreenDesign
from model.guide_lines import guide_lines
from model.predictive import draws
from tests.designs import design_from_rows, nested_rows, of_lines
from tests.model import test_predictive as nested

# RNA of a gene measured in one line has no SD, which no quantity takes.
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


def quantities_of(cells: pd.DataFrame, design: ScreenDesign) -> dict[str, float]:
    """What is checked, of a design and of what `guide_cells` has about it."""
    layout = guide_lines(design)
    np.testing.assert_allclose(layout.mean, cells["mean"])
    within = cells.groupby("cell_line").within.sum().reindex(design.cell_lines, fill_value=0.0)
    fitted = (cells["mean"] - cells.residual).to_numpy()
    data = GuideCells(cells["mean"].to_numpy(), within.to_numpy(), fitted, layout)
    return {name: one.compute(data) for name, one in QUANTITIES.items()}


def log_spread(cells: pd.DataFrame, group: str) -> float:
    sizes = []
    for _, own in cells.groupby(group):
        squares = own["count"] * own.residual**2
        if len(own) > 1 and squares.sum() > 0:
            sizes.append(np.log(np.sqrt(squares.mean())))
    return float(np.std(sizes))


def log_noise(cells: pd.DataFrame) -> float:
    sizes = []
    for _, own in cells.groupby("cell_line"):
        df = (own["count"] - 1).sum()
        if df > 1 and own.within.sum() > 0:
            sizes.append(np.log(np.sqrt(own.within.sum() / df)))
    return float(np.std(sizes))


def mean_residual(cells: pd.DataFrame, group: str) -> pd.Series:
    """The mean residual over the measurements of the group of each guide-line cell."""
    weighted = (cells["count"] * cells.residual).groupby(cells[group]).transform("sum")
    return weighted / cells.groupby(group)["count"].transform("sum")


def between_guides(cells: pd.DataFrame) -> float:
    apart = mean_residual(cells, "guide") - mean_residual(cells, "gene")
    return float((apart.groupby(cells.guide).first() ** 2).mean())


def correlation(cells: pd.DataFrame) -> float:
    own = cells.assign(residual=cells.residual - mean_residual(cells, "guide"))
    products, squares = [], []
    for _, cell in own.groupby(["gene", "cell_line"]):
        if len(cell) > 1:
            products += [a * b for a, b in permutations(cell.residual, 2)]
            squares += [a**2 for a in cell.residual]
    return float(np.mean(products) / np.mean(squares))


def tail_weight(cells: pd.DataFrame) -> float:
    size = cells.residual.abs() * np.sqrt(cells["count"])
    return float(size.quantile(0.99) / size.median())


def reckoned(rows: pd.DataFrame, cells: pd.DataFrame) -> dict[str, float]:
    return {
        "mean": rows.logfc.mean(),
        "sd": rows.logfc.std(),
        "quantile_05": float(cells["mean"].quantile(0.05)),
        "quantile_95": float(cells["mean"].quantile(0.95)),
        "tail_weight": tail_weight(cells),
        "gene_residual_spread": log_spread(cells, "gene"),
        "line_residual_spread": log_spread(cells, "cell_line"),
        "line_noise_spread": log_noise(cells),
        "guide_variance": between_guides(cells),
        "within_cell_correlation": correlation(cells),
        "within_guide_variance": cells.within.sum() / (cells["count"] - 1).sum(),
    }


def test_a_quantity_is_that_of_the_measurements():
    cells = guide_cells(ROWS)
    assert quantities_of(cells, design_from_rows(ROWS)) == pytest.approx(reckoned(ROWS, cells))


def test_a_guide_and_a_gene_without_measurements_change_no_quantity():
    kept = WHOLE[(WHOLE.cell_line != "c003") & (WHOLE.guide != "g004/1") & (WHOLE.gene != "g002")]
    kept = kept.drop(index=kept.index[3::5])
    again = kept.index[(kept.cell_line == "c002") & kept.duplicated(["guide", "cell_line"])]
    kept = kept.drop(index=again[1:])  # one degree of freedom is left in c002
    elsewhere = WHOLE[WHOLE.cell_line == "c003"]
    design = of_lines(design_from_rows(pd.concat([kept, elsewhere])), [0, 1, 2])
    assert len(design.genes) == 5 and len(design.guides) == 15
    cells = guide_cells(kept)
    assert quantities_of(cells, design) == pytest.approx(reckoned(kept, cells))


@pytest.mark.parametrize("group", ["gene", "cell_line"])
def test_a_group_that_is_just_as_expected_has_no_log_spread(group):
    cells = guide_cells(ROWS)
    cells.loc[cells[group] == cells[group].iloc[0], "residual"] = 0.0
    name = {"gene": "gene_residual_spread", "cell_line": "line_residual_spread"}[group]
    assert quantities_of(cells, design_from_rows(ROWS))[name] == pytest.approx(
        log_spread(cells, group)
    )


def test_a_line_whose_replicates_agree_has_no_log_spread():
    rows = ROWS.assign(logfc=ROWS.logfc.where(ROWS.cell_line != "c000", 2.0))
    cells = guide_cells(rows)
    expected = log_noise(cells)
    assert np.isfinite(expected)
    got = quantities_of(cells, design_from_rows(rows))["line_noise_spread"]
    assert got == pytest.approx(expected)


def screen(*cells: tuple[str, str, int]) -> ScreenDesign:
    """A screen of guides of genes (as g/1), lines, and measurements of each in it."""
    rows = [
        (guide[0], line, guide, 0.0, float(replicate))
        for guide, line, count in cells
        for replicate in range(count)
    ]
    return design_from_rows(
        pd.DataFrame(rows, columns=["gene", "cell_line", "guide", "rna", "logfc"])
    )


ALWAYS = {"mean", "sd", "quantile_05", "quantile_95", "tail_weight"}


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ([("a/1", "x", 1), ("b/1", "y", 1)], set()),
        ([("a/1", "x", 1), ("a/1", "y", 1), ("b/1", "x", 1)], set()),
        (
            [("a/1", "x", 1), ("a/1", "y", 1), ("b/1", "x", 1), ("b/1", "z", 1)],
            {"gene_residual_spread"},
        ),
        (
            [("a/1", "x", 1), ("b/1", "x", 1), ("c/1", "y", 1), ("d/1", "y", 1)],
            {"line_residual_spread"},
        ),
        ([("a/1", "x", 2)], {"within_guide_variance"}),
        ([("a/1", "x", 3), ("b/1", "y", 2)], {"within_guide_variance"}),
        ([("a/1", "x", 3), ("b/1", "y", 3)], {"within_guide_variance", "line_noise_spread"}),
        ([("a/1", "x", 1), ("a/2", "y", 1)], {"guide_variance"}),
        ([("a/1", "x", 1), ("a/2", "x", 1)], {"guide_variance", "within_cell_correlation"}),
    ],
)
def test_a_quantity_is_shown_by_the_least_that_can_show_it(cells, shown):
    layout = guide_lines(screen(*cells))
    assert {name for name, one in QUANTITIES.items() if one.can_show(layout)} == ALWAYS | shown


def test_data_and_replicate_of_each_draw_are_taken_under_it():
    parameters = nested.fixed(4)
    parameters["alpha_g"] = parameters["alpha_g"] + parameters["draw"]
    table = replicated_quantities(parameters, nested.DESIGN, "prior", seed=3)
    layout, random = guide_lines(nested.DESIGN), np.random.default_rng(3)
    rows = []
    for draw in draws(parameters, nested.DESIGN):
        fitted = draw.expected(layout)
        replicate = draw.replicate(fitted, layout, random)
        both = [
            GuideCells(*one, fitted, layout)
            for one in ((layout.mean, layout.line_within_ss), replicate)
        ]
        rows += [(name, "prior", *map(one.compute, both)) for name, one in QUANTITIES.items()]
    expected = pd.DataFrame(rows, columns=["quantity", "stage", "observed", "replicated"])
    order = expected["quantity"].map(list(QUANTITIES).index).sort_values(kind="stable").index
    pd.testing.assert_frame_equal(table, expected.loc[order].reset_index(drop=True))


def quantities(**values: list[tuple[float, float]]) -> pd.DataFrame:
    """Pairs of data and replicate, by stage and name of a quantity."""
    return pd.DataFrame(
        [
            (stage_and_name.split("__")[1], stage_and_name.split("__")[0], *pair)
            for stage_and_name, pairs in values.items()
            for pair in pairs
        ],
        columns=["quantity", "stage", "observed", "replicated"],
    )


def test_a_check_says_where_the_data_lie_among_the_replicates():
    pairs = [(2.0, 1.0), (2.0, 2.0), (1.0, 3.0), (4.0, 3.5), (3.0, 7.0)]
    other = [(1.0, 5.0), (1.0, 6.0)]
    first, second, third = predictive_checks(
        quantities(prior__sd=other, posterior__guide_variance=pairs, posterior__mean=other)
    )
    assert [(one.stage, one.name) for one in (first, second, third)] == [
        ("prior", "sd"),
        ("posterior", "guide_variance"),
        ("posterior", "mean"),
    ]
    replicated = pd.Series([replicate for _, replicate in pairs])
    assert second.observed == pytest.approx(2.4)
    assert second.replicated_mean == pytest.approx(3.3)
    assert second.replicated_low == pytest.approx(replicated.quantile(0.055))
    assert second.replicated_high == pytest.approx(replicated.quantile(0.945))
    assert second.p_value == pytest.approx(3 / 5)  # one of the three is as large as the data
    assert [one.n_draws for one in (first, second, third)] == [2, 5, 2]
    assert [one.bears_on_beta for one in (first, second, third)] == [False, True, False]
    for one in (first, second, third):
        assert one.description == QUANTITIES[one.name].description


@pytest.mark.parametrize("broken", [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0)])
def test_a_quantity_with_a_draw_that_is_no_number_has_no_share(broken):
    (check,) = predictive_checks(quantities(posterior__sd=[(1.0, 2.0), broken]))
    assert np.isnan(check.p_value)
    assert check.n_draws == 2

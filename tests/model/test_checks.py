"""Predictive checks agree with loops over measurements, and each shows the failure it is for."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.checks import QUANTITIES, GuideCells, predictive_checks, replicated_quantities
from model.guide_lines import guide_lines
from model.predictive import draws
from tests.designs import design_from_rows, nested_rows

# RNA of a gene measured in one line has no SD, which no quantity uses.
pytestmark = pytest.mark.filterwarnings("ignore:Degrees of freedom")

# ---- quantities

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


# ---- data and replicates

N_GENES, N_LINES, N_GUIDES, N_REPLICATES = 12, 15, 4, 3
GENES, LINES = ([f"{letter}{n:02d}" for n in range(15)] for letter in "gc")


def screen(**wrong: float) -> pd.DataFrame:
    """Rows of a screen with true alpha = gamma = beta = 0 and sigma = 1, and one thing wrong."""
    random, shape = np.random.default_rng(7), (N_GENES, N_LINES, N_GUIDES, N_REPLICATES)
    gene, line, guide, _ = np.indices(shape).reshape(4, -1)

    def effect(name: str, *dims: int) -> np.ndarray:
        """Normal effects of a combination of gene, line and guide, given by the length of each."""
        return wrong.get(name, 0.0) * random.normal(size=(*dims, 1))

    noise = np.exp(effect("line_noise", 1, N_LINES, 1) + effect("gene_noise", N_GENES, 1, 1))
    logfc = wrong.get("shift", 0.0) + noise * random.normal(size=shape)
    logfc += effect("guide", N_GENES, 1, N_GUIDES) + effect("gene_line", N_GENES, N_LINES, 1)
    logfc += effect("cell", *shape[:3])
    logfc += wrong.get("tail", 0.0) * (random.uniform(size=(*shape[:3], 1)) < 0.1)
    # `agreement` is a part of the SD that replicates of a guide in a line share.
    logfc = np.sqrt(1 - wrong.get("agreement", 0.0) ** 2) * logfc + effect("agreement", *shape[:3])
    rna = random.normal(size=(N_GENES, N_LINES))[gene, line]
    rows = pd.DataFrame({"gene": np.array(GENES)[gene], "cell_line": np.array(LINES)[line]})
    return rows.assign(guide=rows.gene + "/" + guide.astype(str), rna=rna, logfc=logfc.ravel())


def near_truth(n_draws: int = 201) -> xr.Dataset:
    """Draws around the true values, as narrow as a posterior would be."""
    random = np.random.default_rng(8)
    dims = {"alpha_g": "gene", "gamma_c": "cell_line", "beta_g": "gene"}
    labels = {"gene": GENES[:N_GENES], "cell_line": LINES}
    effects = {
        name: (("chain", "draw", dim), random.normal(0, 0.03, (1, n_draws, len(labels[dim]))))
        for name, dim in dims.items()
    }
    sigma = (("chain", "draw"), random.normal(1, 0.01, (1, n_draws)))
    return xr.Dataset(effects | {"sigma": sigma}, coords=labels)


def p_values(parameters: xr.Dataset, rows: pd.DataFrame) -> dict[str, float]:
    table = replicated_quantities(parameters, design_from_rows(rows), "posterior", seed=1)
    return {check.name: check.p_value for check in predictive_checks(table)}


def test_data_of_the_model_raise_no_alarm():
    values = p_values(near_truth(), screen())
    assert set(values) == set(QUANTITIES)
    assert all(0.005 < p < 0.995 for p in values.values()), values


@pytest.mark.parametrize(
    ("wrong", "quantity", "low"),
    [
        ({"shift": 0.3}, "mean", True),
        ({"cell": 0.6}, "sd", True),
        ({"tail": -4.0}, "quantile_05", False),
        ({"tail": 4.0}, "quantile_95", True),
        ({"gene_noise": 0.5}, "gene_residual_spread", True),
        ({"line_noise": 0.5}, "line_residual_spread", True),
        ({"line_noise": 0.2}, "line_noise_spread", True),
        ({"tail": -4.0}, "tail_weight", True),
        ({"guide": 0.5}, "guide_variance", True),
        ({"gene_line": 0.3}, "within_cell_correlation", True),
        ({"agreement": 0.7}, "within_guide_variance", False),
    ],
)
def test_each_check_shows_its_failure(wrong, quantity, low):
    p = p_values(near_truth(), screen(**wrong))[quantity]
    assert p < 0.005 if low else p > 0.995


def test_nan_in_a_draw_is_reported():
    parameters = near_truth(20)
    parameters["beta_g"][0, 5, 0] = np.nan
    found = p_values(parameters, screen())
    assert set(found) == set(QUANTITIES)
    of_replicates = {"within_guide_variance", "line_noise_spread"}
    assert {name for name, p in found.items() if not np.isnan(p)} == of_replicates


def test_quantities_of_data_and_replicate_are_computed_under_the_same_draw():
    """A screen without replicates of a guide shows no quantity of them."""
    design, parameters = design_from_rows(screen()[::N_REPLICATES]), near_truth(4)
    layout, random = guide_lines(design), np.random.default_rng(3)
    hidden = ("within_guide_variance", "line_noise_spread")
    expected = []
    for number, draw in enumerate(draws(parameters, design)):
        fitted = draw.expected(layout)
        parts = (layout.mean, layout.line_within_ss), draw.replicate(fitted, layout, random)
        data, replicate = (GuideCells(*part, fitted, layout) for part in parts)
        for order, (name, one) in enumerate(QUANTITIES.items()):
            if name not in hidden:
                values = one.compute(data), one.compute(replicate)
                expected.append((order, number, name, "prior", *values))
    columns = ["quantity", "stage", "observed", "replicated"]
    table = pd.DataFrame([row[2:] for row in sorted(expected)], columns=columns)
    found = replicated_quantities(parameters, design, "prior", seed=3)
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

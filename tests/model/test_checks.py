"""Predictive checks agree with loops over measurements, and each shows the failure it is for."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.checks import QUANTITIES, GuideCells, predictive_checks, replicated_quantities
from model.design import ScreenDesign
from model.engines import run_engine
from model.guide_lines import guide_lines
from model.predictive import draws, thin
from schemas.parameters import FitParameters, Sampling
from tests.designs import design_from_rows, nested_rows, of_lines

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


def log_noise(cells: pd.DataFrame) -> float:
    lines = [(own.within.sum(), (own["count"] - 1).sum()) for _, own in cells.groupby("cell_line")]
    return float(np.std([np.log(np.sqrt(ss / df)) for ss, df in lines if df > 1 and ss > 0]))


def mean_residual(cells: pd.DataFrame, group: str) -> pd.Series:
    """The mean residual over the measurements of the group of each guide-line cell."""
    weighted = (cells["count"] * cells.residual).groupby(cells[group]).transform("sum")
    return weighted / cells.groupby(group)["count"].transform("sum")


def correlation(cells: pd.DataFrame) -> float:
    own = cells.assign(residual=cells.residual - mean_residual(cells, "guide"))
    several = [cell.residual for _, cell in own.groupby(["gene", "cell_line"]) if len(cell) > 1]
    products = [a * b for residuals in several for a, b in permutations(residuals, 2)]
    return float(np.mean(products) / np.mean([a**2 for residuals in several for a in residuals]))


def by_loops(rows: pd.DataFrame, cells: pd.DataFrame) -> dict[str, float]:
    size = cells.residual.abs() * np.sqrt(cells["count"])
    between = mean_residual(cells, "guide") - mean_residual(cells, "gene")
    return {
        "mean": rows.logfc.mean(),
        "sd": rows.logfc.std(),
        "quantile_05": float(cells["mean"].quantile(0.05)),
        "quantile_95": float(cells["mean"].quantile(0.95)),
        "tail_weight": float(size.quantile(0.99) / size.median()),
        "gene_residual_spread": log_spread(cells, "gene"),
        "line_residual_spread": log_spread(cells, "cell_line"),
        "line_noise_spread": log_noise(cells),
        "guide_variance": float((between.groupby(cells.guide).first() ** 2).mean()),
        "within_cell_correlation": correlation(cells),
        "within_guide_variance": cells.within.sum() / (cells["count"] - 1).sum(),
    }


def assert_as_by_loops(rows: pd.DataFrame, cells: pd.DataFrame, design: ScreenDesign) -> None:
    within = cells.groupby("cell_line").within.sum().reindex(design.cell_lines, fill_value=0.0)
    fitted = (cells["mean"] - cells.residual).to_numpy()
    layout = guide_lines(design)
    data = GuideCells(cells["mean"].to_numpy(), within.to_numpy(), fitted, layout)
    found = {name: one.compute(data) for name, one in QUANTITIES.items()}
    assert found == pytest.approx(by_loops(rows, cells))


@pytest.mark.parametrize("exact", [None, ("gene", "g000"), ("cell_line", "c000")])
def test_quantities_agree_with_loops_over_measurements(exact):
    """A group without residuals, or a line whose replicates agree, has no log spread."""
    rows, cells = ROWS, guide_cells(ROWS)
    if exact:
        rows = ROWS.assign(logfc=ROWS.logfc.where(ROWS.cell_line != "c000", 2.0))
        cells = guide_cells(rows)
        cells.loc[cells[exact[0]] == exact[1], "residual"] = 0.0
    assert_as_by_loops(rows, cells, design_from_rows(rows))


def test_guide_and_gene_without_measurements_change_no_quantity():
    kept = WHOLE[(WHOLE.cell_line != "c003") & (WHOLE.guide != "g004/1") & (WHOLE.gene != "g002")]
    kept = kept.drop(index=kept.index[3::5])
    again = kept.index[(kept.cell_line == "c002") & kept.duplicated(["guide", "cell_line"])]
    kept = kept.drop(index=again[1:])  # one degree of freedom is left in c002
    elsewhere = WHOLE[WHOLE.cell_line == "c003"]
    design = of_lines(design_from_rows(pd.concat([kept, elsewhere])), [0, 1, 2])
    assert len(design.genes) == 5 and len(design.guides) == 15
    assert_as_by_loops(kept, guide_cells(kept), design)


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


def screen(random: np.random.Generator, **wrong: float) -> pd.DataFrame:
    """Rows of a screen with true alpha = gamma = beta = 0 and sigma = 1, and one thing wrong."""
    sd = dict.fromkeys(("guide", "gene_line", "cell", "line_noise", "gene_noise", "tail"), 0.0)
    sd |= {"shift": 0.0, "agreement": 0.0} | wrong
    shape = (N_GENES, N_LINES, N_GUIDES, N_REPLICATES)
    noise = np.exp(
        sd["line_noise"] * random.normal(size=(N_LINES, 1, 1))
        + sd["gene_noise"] * random.normal(size=(N_GENES, 1, 1, 1))
    )
    logfc = sd["shift"] + noise * random.normal(size=shape)
    logfc += random.normal(0, sd["guide"], (N_GENES, 1, N_GUIDES, 1))
    logfc += random.normal(0, sd["gene_line"], (N_GENES, N_LINES, 1, 1))
    logfc += random.normal(0, sd["cell"], (*shape[:3], 1))
    logfc += sd["tail"] * (random.uniform(size=(*shape[:3], 1)) < 0.1)
    # Of agreement 0.5, half the variance is that of the guide in its line, not of a replicate.
    shared = np.sqrt(sd["agreement"]) * random.normal(size=(*shape[:3], 1))
    logfc = np.sqrt(1 - sd["agreement"]) * logfc + shared
    rna = np.broadcast_to(random.normal(size=(N_GENES, N_LINES, 1, 1)), shape)
    gene, line, guide, _ = np.indices(shape).reshape(4, -1)
    return pd.DataFrame(
        {
            "gene": [GENES[code] for code in gene],
            "cell_line": [LINES[code] for code in line],
            "guide": [f"{GENES[of]}/{code}" for of, code in zip(gene, guide, strict=True)],
            "rna": rna.ravel(),
            "logfc": logfc.ravel(),
        }
    )


def near_truth(n_draws: int = 300) -> xr.Dataset:
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


@cache
def p_values_of(**wrong: float) -> dict[str, float]:
    return p_values(near_truth(), screen(np.random.default_rng(7), **wrong))


def test_data_of_the_model_raise_no_alarm():
    values = p_values_of()
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
        ({"agreement": 0.5}, "within_guide_variance", False),
    ],
)
def test_each_check_shows_its_failure(wrong, quantity, low):
    p = p_values_of(**wrong)[quantity]
    assert p < 0.005 if low else p > 0.995


def test_nan_in_a_draw_is_reported():
    parameters = near_truth(20)
    parameters["beta_g"][0, 5, 0] = np.nan
    found = p_values(parameters, screen(np.random.default_rng(7)))
    assert set(found) == set(QUANTITIES)
    of_replicates = {"within_guide_variance", "line_noise_spread"}
    assert {name for name, p in found.items() if not np.isnan(p)} == of_replicates


def test_quantities_of_data_and_replicate_are_computed_under_the_same_draw():
    rows = screen(np.random.default_rng(7)).drop_duplicates(["guide", "cell_line"])
    design, parameters = design_from_rows(rows), near_truth(4)
    table = replicated_quantities(parameters, design, "prior", seed=3)
    layout, random = guide_lines(design), np.random.default_rng(3)
    shown = [
        name for name in QUANTITIES if name not in ("within_guide_variance", "line_noise_spread")
    ]
    expected = []
    for draw in draws(parameters, design):
        fitted = draw.expected(layout)
        data = GuideCells(layout.mean, layout.line_within_ss, fitted, layout)
        replicate = GuideCells(*draw.replicate(fitted, layout, random), fitted, layout)
        for name in shown:
            both = [QUANTITIES[name].compute(one) for one in (data, replicate)]
            expected.append((name, "prior", *both))
    columns = ["quantity", "stage", "observed", "replicated"]
    by_quantity = pd.DataFrame(
        sorted(expected, key=lambda row: shown.index(row[0])), columns=columns
    )
    pd.testing.assert_frame_equal(table, by_quantity)


def test_check_reports_where_the_data_are_among_the_replicates():
    pairs = [(2.0, 1.0), (2.0, 2.0), (1.0, 3.0), (4.0, 3.5), (3.0, 7.0)]
    rows: list[Any] = [("sd", "prior", *pair) for pair in [(1.0, 5.0), (1.0, 6.0)]]
    rows += [("guide_variance", "posterior", *pair) for pair in pairs]
    rows += [("mean", "posterior", *pair) for pair in [(1.0, 2.0), (np.inf, 1.0)]]
    rows += [("sd", "posterior", *pair) for pair in [(1.0, 2.0), (1.0, np.nan)]]
    columns = ["quantity", "stage", "observed", "replicated"]
    first, second, *broken = predictive_checks(pd.DataFrame(rows, columns=columns))
    assert (first.name, first.stage, first.n_draws, first.p_value) == ("sd", "prior", 2, 1)
    low, high = np.quantile([1.0, 2.0, 3.0, 3.5, 7.0], [0.055, 0.945])
    expected = {
        "name": "guide_variance",
        "description": QUANTITIES["guide_variance"].description,
        "stage": "posterior",
        "bears_on_beta": True,
        "observed": 2.4,
        "replicated_mean": 3.3,
        "replicated_low": low,
        "replicated_high": high,
        "p_value": 3 / 5,  # in one of the three the replicate equals the data
        "n_draws": 5,
        "furthest_out": (),
    }
    assert second.model_dump() == {
        name: pytest.approx(one) if isinstance(one, float) else one
        for name, one in expected.items()
    }
    assert [(one.name, one.bears_on_beta, one.n_draws) for one in broken] == [
        ("mean", False, 2),
        ("sd", False, 2),
    ]
    assert all(np.isnan(one.p_value) for one in broken)


@pytest.mark.parametrize(("model", "unlike"), [("m4_zero_mean", True), ("m4_nested", False)])
def test_checks_that_bear_on_beta_reject_a_model_without_the_variances_of_the_screen(model, unlike):
    rows, _ = nested_rows(n_genes=20, n_lines=12, n_guides=3, n_replicates=2)
    parameters = FitParameters(model=model, engine="exact", sampling=Sampling(draws=500, chains=2))
    posterior = run_engine(design_from_rows(rows), parameters)["posterior"].dataset
    values = p_values(thin(posterior, 400), rows)
    decisive = [name for name, one in QUANTITIES.items() if one.bears_on_beta]
    assert decisive == ["guide_variance", "within_cell_correlation", "within_guide_variance"]
    for name in decisive:
        assert (min(values[name], 1 - values[name]) < 0.005) == unlike, values

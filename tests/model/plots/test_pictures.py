"""Pictures of a fit are complete, closed after use, and show the genes and notes they should."""

from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from matplotlib.figure import Figure

from model.effects.gene_effects import gene_effects
from model.engines.nuts.plain import MODELS, build_model
from model.engines.run import add_predictive_groups, run_engine
from model.plots import RESULT_FIGURES, all_figures, as_bytes, model_graph
from model.plots.gene_effects import lines_table, without_line_effects
from model.plots.style import spaced
from model.screen.design import ScreenDesign
from schemas.parameters import FitParameters, Priors
from tests.designs import design_from_rows, nested_rows, original_rows


class Fit(NamedTuple):
    tree: xr.DataTree
    design: ScreenDesign
    effects: pd.DataFrame
    quantities: pd.DataFrame


def fit_of(rows: pd.DataFrame, model: str) -> Fit:
    """A fit by the exact engine, with an energy as a sampler has one."""
    sampling = {"draws": 250, "predictive_draws": 200, "predictive_cells": 1000}
    given = {"model": model, "engine": "exact", "sampling": sampling}
    parameters = FitParameters.model_validate(given)
    design = design_from_rows(rows)
    drawn = run_engine(design, parameters)
    tree, quantities = add_predictive_groups(drawn, design, parameters)
    energy = np.random.default_rng(11).normal(500, 10, (4, 250))
    statistics = tree["sample_stats"].to_dataset()
    tree["sample_stats"] = xr.DataTree(statistics.assign(energy=(("chain", "draw"), energy)))
    return Fit(tree, design, gene_effects(tree, design), quantities)


@pytest.fixture(scope="module")
def small() -> Fit:
    """The original's simulated screen by m4: 5 genes x 20 cell lines."""
    return fit_of(original_rows(), "m4")


def large() -> Fit:
    """66 genes x 8 cell lines by m4_nested, 41 genes replicated, with columns of influence."""
    rows, _ = nested_rows(66, 8, 3, 2, seed=7)
    names = {gene: f"GENE{gene[1:]} (1{gene[1:]})" for gene in rows.gene.unique()}
    fit = fit_of(rows.assign(gene=rows.gene.map(names)), "m4_nested")
    number = np.arange(66)
    known = fit.effects.assign(
        most_influential_line="c003",
        influence=np.where(number, 0.1 * number - 3, np.nan),  # nothing is known of the first
        carried_by_one_line=number == 4,
        beta_within_lineage_mean=fit.effects["beta_mean"] * np.where(number == 5, 0, 0.9),
        beta_within_lineage_sd=0.1,
        marks_lineage=number == 5,
        call=np.where(np.isin(number, (33, 34)), "positive", "none"),  # of small slopes
    )
    return fit._replace(effects=known)


NAMES = {
    "energy", "forest_alpha", "forest_beta", "forest_gamma", "influence_of_lines", "rank",
    "logfc_by_cell_line", "logfc_over_rna", "logfc_over_rna_by_gene", "predictive_checks",
    "posterior_predictive_by_gene", "prior_of_sds", "residual_spread", "residual_spread_by_line",
    "top_genes", "trace", "volcano", "within_lineages",
}  # fmt: skip


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


def test_every_picture_is_drawn_under_its_name_and_names_what_it_shows(monkeypatch):
    fit, written = large(), {}
    plt.close("all")
    mpl.use("Agg")
    for module in ("gene_effects", "predictive"):
        monkeypatch.setattr(f"model.plots.{module}.MOST_PANELS", 4)
    with mpl.rc_context({"font.size": 7.5}):
        before = dict(mpl.rcParams)
        for name, figure in all_figures(*fit):
            assert set(plt.get_fignums()) <= {figure.number}
            written[name] = texts(figure)
            if name in ("energy", "volcano"):  # one by ArviZ, one by plotnine
                assert as_bytes(figure, "png").startswith(b"\x89PNG")
        assert plt.get_fignums() == []
        assert dict(mpl.rcParams) == before
    assert set(written) == NAMES and tuple(written)[:4] == RESULT_FIGURES
    genes = fit.effects["gene"]
    panels = {
        name: [text for text in written[name] if text in fit.design.genes]
        for name in ("forest_beta", "logfc_over_rna_by_gene", "top_genes")
    }
    few = genes.head(4).tolist()
    assert panels == {
        "forest_beta": [*genes.head(20), *genes.tail(20)],
        "logfc_over_rna_by_gene": few,
        "top_genes": few,
    }
    assert f"{genes[4].split(' ')[0]}, c003" in written["influence_of_lines"]
    assert genes[5].split(" ")[0] in written["within_lineages"]
    assert {genes[33].split(" ")[0], genes[34].split(" ")[0]} <= {*written["volcano"]}
    for name, of_figure in written.items():
        noted = any("41 evenly spaced genes of the 66 of the screen" in one for one in of_figure)
        assert noted == name.startswith(("posterior_predictive", "residual_spread"))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_graph_shows_every_variable_above_what_depends_on_it(name, small):
    model = build_model(name, small.design, Priors())
    before = plt.get_fignums()
    figure = model_graph(model, {})
    assert plt.get_fignums() == before  # pyplot does not keep it
    drawn = [text for text in figure.axes[0].texts if text.get_bbox_patch() is not None]
    boxes = {text.get_text().split("\n")[0]: text for text in drawn}
    variables = model.basic_RVs + model.deterministics
    assert set(boxes) == {variable.name for variable in variables}
    slopes = "pi\nDirichlet\ncomponent × 13" if name == "m4_screen" else "beta_g\nNormal\ngene × 5"
    assert slopes in [box.get_text() for box in boxes.values()]
    assert boxes["sigma"].get_text() == "sigma\nExponential"
    height = {name: text.get_position()[1] for name, text in boxes.items()}
    arrows = pm.model_to_networkx(model).edges
    assert len(arrows) > 10
    assert all(height[parent] > height[child] for parent, child in arrows)
    assert b"<svg" in as_bytes(figure, "svg")


def test_fitted_line_has_the_slope_of_its_gene_and_the_level_of_an_average_line(small):
    posterior = small.tree["posterior"].dataset
    lines = lines_table(posterior, small.design, ["geneD", "geneA"])
    for gene in ("geneD", "geneA"):
        line, rna = lines[lines["gene"] == gene], small.design.rna[small.design.genes.index(gene)]
        slope, level = np.polyfit(line["rna"], line["fitted"], 1)
        one = posterior.sel(gene=gene).mean()
        assert slope == pytest.approx(one["beta_g"].item(), abs=0.01)
        assert level == pytest.approx((one["alpha_g"] + one["gamma_c"]).item(), abs=0.01)
        assert (line["low"] < line["fitted"]).all() and (line["fitted"] < line["high"]).all()
        assert (line["rna"].min(), line["rna"].max()) == (rna.min(), rna.max())
    points = without_line_effects(posterior, small.design, ["geneD"])
    line = lines[lines["gene"] == "geneD"]
    away = points["logfc"] - np.interp(points["rna"], line["rna"], line["fitted"])
    assert np.sqrt(np.mean(away**2)) < 0.3  # noise of a mean of three is 0.17; gamma's SD is 3


def test_places_keep_their_gap():
    assert spaced(np.array([0.0, 2.0, 5.0]), gap=1.0).tolist() == [0, 2, 5]
    assert spaced(np.array([1.0, 1.0, 1.0]), gap=1.0).tolist() == [0, 1, 2]
    wanted = np.sort(np.random.default_rng(3).normal(size=50))
    assert (np.diff(spaced(wanted, gap=0.1)) >= 0.1 - 1e-9).all()

"""The set of pictures as a whole: complete, closed after use, legible with many genes."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from model.plots import all_figures, as_bytes
from model.plots.data import logfc_by_cell_line, logfc_over_rna, measured
from model.plots.gene_effects import logfc_over_rna_by_gene, volcano
from model.plots.posterior import forest, prior_of_sds, rank, trace
from model.predictive import thin

NAMES = {
    "prior_of_sds",
    "logfc_over_rna",
    "logfc_over_rna_by_gene",
    "logfc_by_cell_line",
    "trace",
    "rank",
    "forest_alpha",
    "forest_beta",
    "forest_gamma",
    "posterior_predictive_by_gene",
    "predictive_checks",
    "residual_spread",
    "residual_spread_by_line",
    "energy",
    "volcano",
    "top_genes",
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(figure):
    """Everything written in a figure."""
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


@pytest.mark.parametrize("size", ["small", "large"])
def test_every_picture_is_drawn_under_its_name_and_closed(size, request):
    fit = request.getfixturevalue(size)
    plt.close("all")
    names = set()
    for name, figure in all_figures(fit.tree, fit.design, fit.effects, fit.quantities):
        names.add(name)
        assert set(plt.get_fignums()) <= {figure.number}
        assert as_bytes(figure, "png").startswith(b"\x89PNG")
    assert names == NAMES
    assert plt.get_fignums() == []


def test_an_engine_without_energy_has_no_picture_of_it(small):
    groups = {name: small.tree[name].dataset for name in small.tree.children}
    groups["sample_stats"] = groups["sample_stats"].drop_vars("energy")
    without = xr.DataTree.from_dict(groups)
    names = {
        name for name, _ in all_figures(without, small.design, small.effects, small.quantities)
    }
    assert names == NAMES - {"energy"}


def test_only_a_sampler_has_chains(small):
    groups = {name: small.tree[name].dataset for name in small.tree.children}
    groups["sample_stats"] = groups["sample_stats"].drop_vars("energy").assign(pareto_k=0.1)
    integrated = xr.DataTree.from_dict(groups)
    for picture in (trace, rank):
        assert any("hains" in text for text in texts(picture(small.tree)))
        written = texts(picture(integrated))
        assert any("atches of independent draws" in text for text in written)
        assert not any("hains" in text for text in written)


def test_more_parameters_make_a_taller_picture(small):
    posterior = small.tree["posterior"].dataset
    groups = {name: small.tree[name].dataset for name in small.tree.children}
    for group in ("posterior", "prior"):
        sigma = groups[group]["sigma"]
        groups[group] = groups[group].assign(sigma_guide=sigma, sigma_gene_line=sigma)
    nested = xr.DataTree.from_dict(groups)
    assert "sigma_guide" not in posterior
    for picture in (trace, rank, prior_of_sds):
        few, many = picture(small.tree), picture(nested)
        assert many.get_figheight() > few.get_figheight()
        assert any("sigma_guide" in text for text in texts(many))


def test_the_settings_of_matplotlib_are_left_alone(small):
    with mpl.rc_context({"font.size": 7.5}):
        before = dict(mpl.rcParams)
        forest(small.tree, "beta_g")
        logfc_over_rna(small.design, small.effects)
        assert dict(mpl.rcParams) == before


def test_a_forest_of_few_genes_shows_all_from_low_to_high(small):
    labels = [text for text in texts(forest(small.tree, "beta_g")) if text in small.design.genes]
    assert labels == small.effects["gene"].tolist()


def test_a_forest_of_many_genes_shows_the_ends_and_says_so(large):
    written = texts(forest(large.tree, "beta_g"))
    ends = [*large.effects["gene"].head(20), *large.effects["gene"].tail(20)]
    assert [text for text in written if text in large.design.genes] == ends
    assert any("the 20 lowest and 20 highest of 105 genes" in text for text in written)


def test_a_forest_of_some_of_the_draws_has_the_order_of_the_table(small):
    few = small.tree.copy()
    few["posterior"] = xr.DataTree(thin(small.tree["posterior"].dataset, 8))
    effects = small.effects.assign(beta_mean=[3.0, 1.0, 2.0, 5.0, 4.0]).sort_values("beta_mean")
    means = effects.set_index("gene")["beta_mean"]
    written = texts(forest(few, "beta_g", means))
    assert [text for text in written if text in means] == effects["gene"].tolist()


def test_only_so_many_genes_get_a_panel(large):
    written = texts(logfc_over_rna_by_gene(large.tree, large.design, large.effects))
    panels = [text for text in written if text in large.design.genes]
    assert panels == large.effects["gene"].head(12).tolist()
    assert any("the 12 genes of 105 with lowest beta" in text for text in written)


def test_genes_too_many_to_colour_are_counted(large):
    assert "grey: 97 other genes" in texts(logfc_over_rna(large.design, large.effects))


def test_boxes_stand_by_median(small):
    axes = logfc_by_cell_line(small.design).axes[0]
    boxes = [label.get_text() for label in axes.get_yticklabels()]
    table = measured(small.design)
    medians = table.groupby("cell_line")["logfc"].median().sort_values(ascending=False)
    assert boxes == [small.design.cell_lines[line] for line in medians.index]


def test_an_effect_surer_than_the_draws_can_tell_stands_on_the_line(small):
    figure = volcano(small.effects.assign(lfsr=0.0), n_draws=1000)
    points = figure.findobj(mpl.collections.PathCollection)
    heights = np.concatenate([np.asarray(some.get_offsets())[:, 1] for some in points])
    assert len(heights) >= 5
    assert heights == pytest.approx(3.0)

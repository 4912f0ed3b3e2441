"""Pictures of replicates where they are of a part of the genes."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from model.plots.gene_effects import top_genes
from model.plots.predictive import (
    checked_quantities,
    posterior_predictive_by_gene,
    residual_spread,
)
from model.plots.style import DARK, ORANGE


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


def test_replicates_of_a_part_are_drawn_for_genes_of_the_part(partly):
    part = partly.tree["constant_data"]["gene"].to_numpy()
    written = texts(posterior_predictive_by_gene(partly.tree, partly.design, partly.effects))
    panels = [text for text in written if text in partly.design.genes]
    by_beta = partly.effects["gene"]
    assert panels == by_beta[by_beta.isin(part)].head(12).tolist()
    assert panels != by_beta.head(12).tolist()


def test_a_picture_of_a_part_says_so(partly, large):
    note = "of 27 genes taken evenly over the 105 of the screen"
    for fit, said in ((partly, True), (large, False)):
        for figure in (
            posterior_predictive_by_gene(fit.tree, fit.design, fit.effects),
            residual_spread(fit.tree, fit.design, "gene"),
            residual_spread(fit.tree, fit.design, "cell_line"),
        ):
            assert any(note in text for text in texts(figure)) == said


def test_the_points_of_a_part_are_the_data_of_their_gene(partly):
    part = partly.design.of_genes(range(0, 105, 4))
    axes = posterior_predictive_by_gene(partly.tree, partly.design, partly.effects).axes[0]
    own = np.sort(part.cells.mean[part.cells.gene == part.genes.index(axes.get_title())])
    drawn = [np.sort(np.asarray(some.get_offsets())[:, 1]) for some in axes.collections]
    drawn += [np.sort(np.asarray(line.get_ydata())) for line in axes.lines]
    assert any(points.size == own.size and np.allclose(points, own) for points in drawn)


def test_the_strongest_genes_need_no_replicates(partly):
    written = texts(top_genes(partly.tree, partly.design, partly.effects))
    assert set(partly.effects["gene"].head(12)) <= set(written)


def test_a_quantity_unlike_its_replicates_is_marked(small):
    quantities = small.quantities[small.quantities["quantity"].isin(["mean", "sd"])]
    far = quantities["quantity"] == "sd"
    moved = quantities.assign(
        observed=quantities["observed"].mask(far, quantities["replicated"].max() + 1)
    )
    figure = checked_quantities(moved)
    assert any(text == "sd\np < 0.005" for text in texts(figure))
    colours = [
        mpl.colors.to_hex(line.get_color()[0])
        for axes in figure.axes
        for line in axes.collections
        if isinstance(line, mpl.collections.LineCollection)
    ]
    assert colours == [DARK, ORANGE]

"""The graph of a model shows every variable, readable and above what depends on it."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pymc as pm
import pytest

from model.hierarchy import MODELS, build_model
from model.plots import as_bytes, model_graph
from schemas.parameters import Priors


@pytest.mark.parametrize("name", sorted(MODELS))
def test_graph_shows_every_variable_above_what_depends_on_it(name, small):
    model = build_model(name, small.design, Priors())
    before = plt.get_fignums()
    figure = model_graph(model)
    assert plt.get_fignums() == before  # pyplot does not keep it
    drawn = [text for text in figure.axes[0].texts if text.get_bbox_patch() is not None]
    boxes = {text.get_text().split("\n")[0]: text for text in drawn}
    variables = model.basic_RVs + model.deterministics
    assert set(boxes) == {variable.name for variable in variables}
    assert boxes["beta_g"].get_text() == "beta_g\nNormal\ngene × 5"
    assert boxes["sigma"].get_text() == "sigma\nExponential"
    fill = {
        name: mpl.colors.to_hex(text.get_bbox_patch().get_facecolor())
        for name, text in boxes.items()
    }
    shaded = {name for name, colour in fill.items() if colour == "#cfd8e3"}
    assert shaded == {variable.name for variable in model.observed_RVs}
    height = {name: text.get_position()[1] for name, text in boxes.items()}
    arrows = pm.model_to_networkx(model).edges
    assert len(arrows) > 10
    assert all(height[parent] > height[child] for parent, child in arrows)
    assert b"<svg" in as_bytes(figure, "svg")
    extents = [text.get_window_extent() for text in boxes.values()]
    pairs = [(a, b) for i, a in enumerate(extents) for b in extents[:i]]
    assert not any(a.overlaps(b) for a, b in pairs)

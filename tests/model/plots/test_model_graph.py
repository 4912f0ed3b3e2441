"""The graph of a model: every variable, readable, each above what is drawn from it."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pymc as pm
import pytest

from model.hierarchy import MODELS, build_model
from model.plots import as_bytes, model_graph
from schemas.parameters import Priors


@pytest.fixture(params=sorted(MODELS))
def model(request, small) -> pm.Model:
    return build_model(request.param, small.design, Priors())


@pytest.fixture
def graph(model):
    return model_graph(model)


def boxes(figure):
    """What is written in each box, by the name on top, with the box."""
    found = [text for text in figure.axes[0].texts if text.get_bbox_patch() is not None]
    return {text.get_text().split("\n")[0]: text for text in found}


def test_every_variable_has_a_box(model, graph):
    variables = model.basic_RVs + model.deterministics
    assert set(boxes(graph)) == {variable.name for variable in variables}


def test_a_box_says_distribution_and_dims(graph):
    assert boxes(graph)["beta_g"].get_text() == "beta_g\nNormal\ngene × 5"
    assert boxes(graph)["sigma"].get_text() == "sigma\nExponential"


def test_observed_variables_are_shaded(model, graph):
    def fill(name):
        return mpl.colors.to_hex(boxes(graph)[name].get_bbox_patch().get_facecolor())

    observed = {variable.name for variable in model.observed_RVs}
    assert {name for name in boxes(graph) if fill(name) == "#cfd8e3"} == observed


def test_what_a_variable_depends_on_stands_above_it(model, graph):
    height = {name: text.get_position()[1] for name, text in boxes(graph).items()}
    arrows = pm.model_to_networkx(model).edges
    assert len(arrows) > 10
    assert all(height[parent] > height[child] for parent, child in arrows)


def test_boxes_do_not_overlap(graph):
    graph.canvas.draw()
    extents = [text.get_window_extent() for text in boxes(graph).values()]
    pairs = [(a, b) for i, a in enumerate(extents) for b in extents[:i]]
    assert not any(a.overlaps(b) for a, b in pairs)


def test_it_is_not_kept_by_pyplot(model):
    before = plt.get_fignums()
    model_graph(model)
    assert plt.get_fignums() == before


def test_it_can_be_kept_as_svg(graph):
    assert b"<svg" in as_bytes(graph, "svg")

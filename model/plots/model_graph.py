"""The graph of a PyMC model, laid out without the programs of Graphviz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from model.plots.style import DARK, GREY, spaced, styled, title

if TYPE_CHECKING:
    import pymc as pm

WIDTH, HEIGHT = 1.6, 1.35  # inches from box to box
_FILLS = {"observed": "#cfd8e3", "computed": "#f6efe2", "unknown": "white"}


@styled
def model_graph(model: pm.Model, sizes: Mapping[str, int]) -> Figure:
    """Draw every variable of a model with its distribution and dims, observed ones shaded.

    `sizes` are those of dims to show instead of the model's own.
    """
    from pymc import model_to_networkx  # the other pictures do without PyMC

    graph = model_to_networkx(model)
    places = _layout(graph, [variable.name for variable in model.basic_RVs + model.deterministics])
    x, y = np.array(list(places.values())).T
    # Without pyplot, which would keep the figure and need a display.
    figure = Figure(figsize=(np.ptp(x) + 2 * WIDTH, np.ptp(y) + 1.5 * HEIGHT))
    axes = figure.subplots()
    nx.draw_networkx_edges(graph, places, ax=axes, edge_color=GREY, node_size=3400, width=1.2)
    for kind, names in _kinds(model).items():
        nx.draw_networkx_labels(
            graph,
            {name: places[name] for name in names},
            {name: _text(model, graph, name, sizes) for name in names},
            font_size=9,
            ax=axes,
            bbox={"boxstyle": "round,pad=0.4", "facecolor": _FILLS[kind], "edgecolor": DARK},
        )
    axes.set_xlim(x.min() - WIDTH / 1.8, x.max() + WIDTH / 1.8)
    axes.set_ylim(y.min() - HEIGHT / 2, y.max() + HEIGHT / 2)
    axes.set_axis_off()
    figure.legend(
        handles=[
            Line2D([], [], marker="s", linestyle="", color=DARK, markerfacecolor=fill, label=kind)
            for kind, fill in _FILLS.items()
            if _kinds(model)[kind]
        ],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    title(figure, "The model: an arrow leads from a quantity to what is drawn from it")
    return figure


def _kinds(model: pm.Model) -> dict[str, list[str]]:
    return {
        "observed": [variable.name for variable in model.observed_RVs],
        "computed": [variable.name for variable in model.deterministics],
        "unknown": [variable.name for variable in model.free_RVs],
    }


def _text(model: pm.Model, graph: nx.DiGraph, name: str, sizes: Mapping[str, int]) -> str:
    distribution = graph.nodes[name]["label"].splitlines()[-1]
    dims = model.named_vars_to_dims.get(name, ())
    shown = [f"{dim} × {sizes.get(dim) or len(model.coords[dim]):,}" for dim in dims]
    return "\n".join([name, distribution, *shown])


def _layout(graph: nx.DiGraph, names: list[str]) -> dict[str, tuple[float, float]]:
    """Return the position of each node, inches: data at the bottom, parents above children."""
    x: dict[str, float] = {}
    places: dict[str, tuple[float, float]] = {}
    for height, layer in enumerate(nx.topological_generations(graph.reverse())):
        nodes = sorted(layer, key=names.index)
        wanted = [np.mean([x[child] for child in graph.successors(node)] or [0]) for node in nodes]
        order = np.argsort(wanted, kind="stable")
        nodes = [nodes[index] for index in order]
        x |= dict(zip(nodes, spaced(np.array(wanted)[order], WIDTH).tolist(), strict=True))
        places |= {node: (x[node], height * HEIGHT) for node in nodes}
    return places

"""Pictures of a fit as files in memory. What is on them is `model.plots`."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import xarray as xr

from model.design import ScreenDesign
from model.hierarchy import build_model
from model.plots import all_figures, as_bytes, model_graph
from schemas.parameters import FitParameters


def draw_pictures(
    tree: xr.DataTree,
    design: ScreenDesign,
    effects: pd.DataFrame,
    quantities: pd.DataFrame,
    on_progress: Callable[[int], None] = lambda n_drawn: None,
) -> dict[str, bytes]:
    """Return every picture as a PNG, by name; `on_progress` is told how many are drawn."""
    pictures: dict[str, bytes] = {}
    for name, figure in all_figures(tree, design, effects, quantities):
        pictures[name] = as_bytes(figure, "png")
        on_progress(len(pictures))
    return pictures


def draw_model_graph(design: ScreenDesign, parameters: FitParameters) -> str:
    """Return the graph of the fitted model as SVG."""
    model = build_model(parameters.model, design, parameters.priors)
    return as_bytes(model_graph(model), "svg").decode()

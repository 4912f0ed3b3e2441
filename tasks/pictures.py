"""Pictures of a fit as files in memory. What is on them is `model.plots`."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import xarray as xr

from model.design import ScreenDesign
from model.hierarchy import build_model
from model.plots import RESULT_FIGURES, all_figures, as_bytes, model_graph
from schemas.parameters import FitParameters, Pictures

NAMES: dict[Pictures, tuple[str, ...] | None] = {
    "all": None,
    "report": RESULT_FIGURES,
    "none": (),
}
"""Choice of pictures: the names of `model.plots` that it draws; None where it draws all."""


def draw_pictures(
    tree: xr.DataTree,
    design: ScreenDesign,
    effects: pd.DataFrame,
    quantities: pd.DataFrame,
    choice: Pictures = "all",
    on_progress: Callable[[int], None] = lambda n_drawn: None,
) -> dict[str, bytes]:
    """Return the chosen pictures as PNG, by name; `on_progress` gets the number drawn so far."""
    pictures: dict[str, bytes] = {}
    for name, figure in all_figures(tree, design, effects, quantities, NAMES[choice]):
        pictures[name] = as_bytes(figure, "png")
        on_progress(len(pictures))
    return pictures


def draw_model_graph(design: ScreenDesign, parameters: FitParameters) -> str:
    """Return the graph of the fitted model as SVG."""
    model = build_model(parameters.model, design, parameters.priors)
    return as_bytes(model_graph(model), "svg").decode()

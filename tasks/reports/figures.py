"""Pictures of a fit as files in memory, drawn by `model.plots`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.plots import REPORT_FIGURES, all_figures, as_bytes, model_graph
from model.screen.design import ScreenDesign
from schemas.model_spec import model_spec
from schemas.parameters import FitParameters, Pictures

if TYPE_CHECKING:
    from model.fit import FitResults

GRAPH_GENES = 20
"""Genes on which a model is built to draw its graph."""
NAMES: dict[Pictures, tuple[str, ...] | None] = {
    "all": None,
    "report": REPORT_FIGURES,
    "none": (),
}
"""Names of `model.plots` by choice of pictures; None for all."""


@dataclass(frozen=True)
class FitReport:
    """What people look at of a fit."""

    html: str
    """The report, one self-contained page."""
    figures: Mapping[str, bytes]
    """PNG images by name of `model.plots`, without suffix."""
    model_graph_svg: str = ""
    """Empty unless all pictures were asked for."""
    explorer: str = ""
    """The gene explorer, one self-contained page; empty where no pictures were asked for."""


def draw_pictures(
    results: FitResults,
    choice: Pictures = "all",
    progress: Callable[[int], None] = lambda n_drawn: None,
) -> dict[str, bytes]:
    """Return the chosen pictures as PNG, by name; `progress` gets the number drawn so far."""
    pictures: dict[str, bytes] = {}
    for name, figure in all_figures(
        results.tree, results.design, results.effects, results.quantities, NAMES[choice]
    ):
        pictures[name] = as_bytes(figure, "png")
        progress(len(pictures))
    return pictures


def draw_model_graph(design: ScreenDesign, parameters: FitParameters) -> str:
    """Return the graph of the fitted model as SVG; empty for a model without a PyMC model.

    The model is built on a few genes: on those of a genome it takes minutes and 10 GB.
    """
    if model_spec(parameters.model, design.covariates).not_nuts:
        return ""
    from model.engines.nuts.plain import build_model  # with PyMC, for this picture alone

    part = design.of_genes(range(min(GRAPH_GENES, len(design.genes))))
    model = build_model(parameters.model, part, parameters.priors)
    sizes = {dim: len(labels) for dim, labels in design.labels.items()}
    sizes |= {"guide_line": int(np.count_nonzero(design.count))}
    sizes |= {"cell": int(np.count_nonzero(design.gene_count))}
    return as_bytes(model_graph(model, sizes), "svg").decode()

"""Pictures of the data, the fit and the result.

A picture is a pure function of the tree, the design or the table of genes, and returns a matplotlib
Figure. ArviZ draws the posterior, plotnine the data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from io import BytesIO
from typing import Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from model.plots.data import logfc_by_cell_line, logfc_over_rna
from model.plots.gene_effects import logfc_over_rna_by_gene, top_genes, volcano
from model.plots.influence import influence_of_lines, within_lineages
from model.plots.model_graph import model_graph
from model.plots.posterior import energy, forest, hyperparameters, prior_of_sds, rank, trace
from model.plots.predictive import (
    checked_quantities,
    posterior_predictive_by_gene,
    residual_spread,
)
from model.prediction.predictive import thin
from model.screen.design import ScreenDesign

__all__ = ["REPORT_FIGURES", "RESULT_FIGURES", "all_figures", "as_bytes", "model_graph"]

RESULT_FIGURES = ("forest_beta", "volcano", "top_genes", "logfc_over_rna_by_gene")
"""Names of the pictures of the result, which the report shows first."""

REPORT_FIGURES = (*RESULT_FIGURES, "predictive_checks", "rank")
"""With those of the checks: model and chains."""

DRAWS_SHOWN = 4000

DRAWS_RANKED = 1000
"""The test of ranks takes draws for independent, and its time grows faster than their number."""


def all_figures(
    tree: xr.DataTree,
    design: ScreenDesign,
    effects: pd.DataFrame,
    quantities: pd.DataFrame,
    only: Collection[str] | None = None,
) -> Iterator[tuple[str, Figure]]:
    """Yield every picture of a fit with its name; a figure is closed when the next is requested.

    `only` restricts them to these names; None draws all. `quantities` is the table of
    `model.prediction.replicates`. `energy` needs a sampler, pictures of influence
    need its columns in `effects`. Works without a display (matplotlib's Agg).
    """
    mpl.use("Agg")
    posterior = tree["posterior"].sizes
    names = hyperparameters(tree["posterior"].dataset)
    shared = _few_draws(tree, names)
    pictures: dict[str, Callable[[], Figure]] = {
        # RESULT_FIGURES first: the report begins with them.
        "forest_beta": lambda: forest(
            _few_draws(tree, ["beta_g"]), "beta_g", effects.set_index("gene")["beta_mean"]
        ),
        "volcano": lambda: volcano(effects, posterior["chain"] * posterior["draw"]),
        "top_genes": lambda: top_genes(tree, design, effects),
        "logfc_over_rna_by_gene": lambda: logfc_over_rna_by_gene(tree, design, effects),
        "logfc_over_rna": lambda: logfc_over_rna(design, effects),
        "logfc_by_cell_line": lambda: logfc_by_cell_line(design),
        "forest_alpha": lambda: forest(_few_draws(tree, ["alpha_g"]), "alpha_g"),
        "forest_gamma": lambda: forest(
            _few_draws(tree, ["gamma_c"]), "gamma_c", labels=design.line_labels
        ),
        "posterior_predictive_by_gene": lambda: posterior_predictive_by_gene(tree, design, effects),
        "predictive_checks": lambda: checked_quantities(quantities),
        "residual_spread": lambda: residual_spread(tree, design, "gene"),
        "residual_spread_by_line": lambda: residual_spread(tree, design, "cell_line"),
        "prior_of_sds": lambda: prior_of_sds(shared),
        "trace": lambda: trace(shared),
        "rank": lambda: rank(_few_draws(tree, names, DRAWS_RANKED)),
    }
    if "energy" in tree["sample_stats"].data_vars:
        pictures["energy"] = lambda: energy(shared)
    if "influence" in effects:
        pictures["influence_of_lines"] = lambda: influence_of_lines(effects)
    if "beta_within_lineage_mean" in effects:
        pictures["within_lineages"] = lambda: within_lineages(effects)
    for name, draw in pictures.items():
        if only is not None and name not in only:
            continue
        figure = draw()
        yield name, figure
        plt.close(figure)


def _few_draws(tree: xr.DataTree, variables: Sequence[str], n: int = DRAWS_SHOWN) -> xr.DataTree:
    """Return the tree with about n draws of some variables; ArviZ takes minutes for 80,000."""
    few = tree.copy()
    few["posterior"] = xr.DataTree(thin(tree["posterior"].dataset[list(variables)], n))
    few["sample_stats"] = xr.DataTree(thin(tree["sample_stats"].dataset, n))
    return few


def as_bytes(figure: Figure, file_format: Literal["png", "svg"]) -> bytes:
    """Return a figure as the content of a PNG or SVG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format=file_format)
    return buffer.getvalue()

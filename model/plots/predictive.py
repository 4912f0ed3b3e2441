"""Pictures of data the model would make beside the data there are, by gene.

The numbers behind them are `model.predictive`; the tests on them are `model.checks`.
"""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import plotnine as p9
import xarray as xr
from matplotlib.figure import Figure

from model.design import ScreenDesign
from model.plots.style import (
    BLUE,
    DARK,
    LOGFC_AXIS,
    MOST_PANELS,
    ORANGE,
    ends,
    left_out,
    styled,
    subtitle,
    theme,
    title,
)
from model.predictive import HDI_MASS


@styled
def posterior_predictive_by_gene(
    tree: xr.DataTree, design: ScreenDesign, effects: pd.DataFrame
) -> Figure:
    """Draw the mean of each gene-line cell on the interval of its replicates, a panel a gene."""
    genes = effects["gene"].head(MOST_PANELS).tolist()
    cells = design.cells
    panels = {}
    for gene in genes:
        own = np.flatnonzero(cells.gene == design.genes.index(gene))
        panels[gene] = own[np.argsort(cells.rna[own])]

    def by_gene(group: str) -> xr.Dataset:
        # A dim of its own for every gene: genes may be measured in different numbers of lines.
        cell_mean = tree[group]["cell_mean"].drop_vars("cell", errors="ignore")
        return xr.Dataset(
            {
                gene: cell_mean.isel(cell=own).rename(cell=f"{gene} in")
                for gene, own in panels.items()
            }
        )

    collection = az.plot_ppc_interval(
        xr.DataTree.from_dict(
            {group: by_gene(group) for group in ("posterior_predictive", "observed_data")}
        ),
        ci_kind="hdi",
        ci_probs=(0.5, HDI_MASS),
        col_wrap=3,
        visuals={
            "ylabel": False,
            "xlabel": False,
            "prediction_markers": False,
            "trunk": {"width": 1.5},
            "observed_markers": {"size": 14},
        },
        figure_kwargs={"figsize": (11, 1.2 + 2.4 * -(-len(genes) // 3))},
    )
    figure: Figure = collection.viz["figure"].item()
    for gene, axes in zip(genes, figure.axes, strict=False):
        axes.set_title(gene)
        axes.set_xticks([])
    figure.supxlabel("cell lines, from low to high RNA of the gene", fontsize=10)
    figure.supylabel(f"mean {LOGFC_AXIS}", fontsize=10)
    title(
        figure,
        "Data and replicates of the fitted model",
        "black: mean of a gene in a cell line; blue: 50 % and 89 % interval of its replicates",
    )
    return figure


def spread_by_gene(tree: xr.DataTree, design: ScreenDesign) -> pd.DataFrame:
    """Return how far each gene's cells lie from their expectation, in the data and in replicates.

    Over the lines c of gene g, for the data and for the replicate under the same draw,

        spread_g = sqrt(mean_c n_gc (cell_mean_gc - alpha_g - gamma_c - beta_g rna_gc)^2)

    which is about sigma if the model is right. Columns gene, data (mean over draws), low, middle,
    high (89 % and median of the replicates), log fold change (log2).
    """
    cells = design.cells
    predictive = tree["posterior_predictive"].dataset
    posterior = tree["posterior"].dataset.sel(chain=predictive["chain"], draw=predictive["draw"])
    alpha, gamma, beta = (
        posterior[name].to_numpy().reshape(-1, posterior[name].shape[2])
        for name in ("alpha_g", "gamma_c", "beta_g")
    )
    expected = alpha[:, cells.gene] + gamma[:, cells.cell_line] + beta[:, cells.gene] * cells.rna
    first = np.flatnonzero(np.diff(cells.gene, prepend=-1))
    n_lines = np.diff(first, append=cells.gene.size)

    def spread(cell_mean: np.ndarray) -> np.ndarray:
        squares = cells.count * (cell_mean - expected) ** 2
        return np.sqrt(np.add.reduceat(squares, first, axis=1) / n_lines)

    tail = (1 - HDI_MASS) / 2
    replicated = spread(predictive["cell_mean"].to_numpy().reshape(expected.shape))
    low, middle, high = np.quantile(replicated, [tail, 0.5, 1 - tail], axis=0)
    return pd.DataFrame(
        {
            "gene": [design.genes[index] for index in cells.gene[first]],
            "data": spread(cells.mean).mean(axis=0),
            "low": low,
            "middle": middle,
            "high": high,
        }
    )


@styled
def residual_spread(tree: xr.DataTree, design: ScreenDesign) -> Figure:
    """Draw `spread_by_gene`, by data over replicates; the ends only where many."""
    every = spread_by_gene(tree, design)
    table = every.iloc[ends((every["data"] / every["middle"]).to_numpy())]
    table = table.assign(
        gene=pd.Categorical(table["gene"], categories=list(table["gene"])),
        above=table["data"] > table["high"],
    )
    picture = (
        p9.ggplot(table, p9.aes("gene"))
        + p9.geom_linerange(p9.aes(ymin="low", ymax="high"), colour=BLUE, size=1.4)
        + p9.geom_point(p9.aes(y="data", colour="above"), size=2, show_legend=False)
        + p9.scale_colour_manual({False: DARK, True: ORANGE})
        + p9.coord_flip()
        + p9.labs(
            title="Spread around the fit, by gene",
            subtitle=subtitle(
                "blue: 89 % of replicates; points: the data, orange where above them",
                left_out(len(table), len(every), "genes, relative to replicates"),
            ),
            x="",
            y="residual SD of one measurement, log fold change (log2)",
        )
        + theme(8, 1.6 + 0.2 * len(table))
    )
    return picture.draw()

"""Pictures of data the model would make beside the data there are, by gene.

The numbers behind them are `model.predictive`; the tests on them are `model.checks`. Of a large
screen the replicates, and so the pictures, are of a part of the genes (`predictive.looked_at`).
"""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import plotnine as p9
import xarray as xr
from matplotlib.figure import Figure

from model.design import ScreenDesign
from model.guide_lines import guide_lines
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
from model.predictive import HDI_MASS, draws, replicated_part


@styled
def posterior_predictive_by_gene(
    tree: xr.DataTree, design: ScreenDesign, effects: pd.DataFrame
) -> Figure:
    """Draw the mean of each gene-line cell on the interval of its replicates, a panel a gene.

    The genes are those with the lowest beta among the genes that have replicates.
    """
    part = replicated_part(tree, design)
    genes = effects["gene"][effects["gene"].isin(part.genes)].head(MOST_PANELS).tolist()
    cells = part.cells
    panels = {}
    for gene in genes:
        own = np.flatnonzero(cells.gene == part.genes.index(gene))
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
        "black: mean of a gene in a cell line; blue: 50 % and 89 % interval of its replicates"
        + (f"\n{_partial(len(part.genes), design)}" if part is not design else ""),
    )
    return figure


def spread_by_gene(tree: xr.DataTree, design: ScreenDesign) -> pd.DataFrame:
    """Return how far each gene's cells lie from their expectation, in the data and in replicates.

    Over the lines c of gene g, for the data and for the replicate under the same draw,

        spread_g = sqrt(mean_c n_gc (cell_mean_gc - expected_gc)^2)

    with expected_gc = alpha_g + gamma_c + beta_g rna_gc, and the mean of its guides' delta_k where
    the model has them. It is about sigma if a model without other effects is right, and more where
    the cells of the model have effects of their own. Columns gene, data (mean over draws), low,
    middle, high (89 % and median of the replicates), log fold change (log2); the genes that have
    replicates.
    """
    part = replicated_part(tree, design)
    cells, parts = part.cells, guide_lines(part)
    predictive = tree["posterior_predictive"].dataset
    posterior = tree["posterior"].dataset.sel(chain=predictive["chain"], draw=predictive["draw"])
    expected = np.stack(
        [
            np.bincount(parts.cell, parts.count * draw.expected(parts)) / cells.count
            for draw in draws(posterior, part)
        ]
    )
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
            "gene": [part.genes[index] for index in cells.gene[first]],
            "data": spread(cells.mean).mean(axis=0),
            "low": low,
            "middle": middle,
            "high": high,
        }
    )


def _partial(n_genes: int, design: ScreenDesign) -> str:
    return f"of {n_genes:,} genes taken evenly over the {len(design.genes):,} of the screen"


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
                "" if len(every) == len(design.genes) else _partial(len(every), design),
            ),
            x="",
            y="residual SD, scaled to one measurement, log fold change (log2)",
        )
        + theme(8, 1.6 + 0.2 * len(table))
    )
    return picture.draw()

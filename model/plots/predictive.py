"""Pictures of the data compared with replicates under the model.

For a large screen, replicates and pictures have a part of the genes (`prediction_subset`).
"""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import plotnine as p9
import xarray as xr
from matplotlib.figure import Figure
from mizani.breaks import breaks_extended

from model.plots.style import (
    BLUE,
    DARK,
    LOGFC_AXIS,
    MOST_PANELS,
    ORANGE,
    ends,
    only_ends,
    styled,
    subtitle,
    theme,
    title,
)
from model.prediction.checks import predictive_checks
from model.prediction.outliers import Grouping, spread_by
from model.prediction.predictive import HDI_MASS, replicated_part
from model.screen.design import ScreenDesign
from schemas.formatting import format_p_value


@styled
def posterior_predictive_by_gene(
    tree: xr.DataTree, design: ScreenDesign, effects: pd.DataFrame
) -> Figure:
    """Draw the mean of each gene-line pair and the interval of its replicates, a panel per gene.

    The genes are those with the lowest beta among the genes that have replicates.
    """
    part = replicated_part(tree, design)
    genes = effects["gene"][effects["gene"].isin(part.genes)].head(MOST_PANELS).tolist()
    cells = part.cells
    panels = []
    for gene in genes:
        own = np.flatnonzero(cells.gene == part.genes.index(gene))
        panels.append(own[np.argsort(cells.rna[own])])

    def by_gene(group: str) -> xr.Dataset:
        # One dim per gene, as genes may be measured in different numbers of lines. Numbered,
        # because a label with a slash would be a path in the tree.
        cell_mean = tree[group]["cell_mean"].drop_vars("cell", errors="ignore")
        return xr.Dataset(
            {
                f"panel_{number}": cell_mean.isel(cell=own).rename(cell=f"cell_{number}")
                for number, own in enumerate(panels)
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


def _partial(n_genes: int, design: ScreenDesign) -> str:
    return f"{n_genes:,} evenly spaced genes of the {len(design.genes):,} of the screen"


@styled
def residual_spread(tree: xr.DataTree, design: ScreenDesign, what: Grouping) -> Figure:
    """Draw `spread_by` gene or line, sorted by data over replicates; the extreme ones of many."""
    every = spread_by(tree, design, what)
    n_genes = len(replicated_part(tree, design).genes)
    word = what.replace("_", " ")
    table = every.iloc[ends((every["data"] / every["middle"]).to_numpy())]
    table = table.assign(
        label=pd.Categorical(table[what], categories=list(table[what])),
        above=table["data"] > table["high"],
    )
    picture = (
        p9.ggplot(table, p9.aes("label"))
        + p9.geom_linerange(p9.aes(ymin="low", ymax="high"), colour=BLUE, size=1.4)
        + p9.geom_point(p9.aes(y="data", colour="above"), size=2, show_legend=False)
        + p9.scale_colour_manual({False: DARK, True: ORANGE})
        + p9.coord_flip()
        + p9.labs(
            title=f"Spread around the fit, by {word}",
            subtitle=subtitle(
                "blue: 89 % of replicates; points: the data, orange where above them",
                only_ends(len(table), len(every), f"{word}s, relative to replicates"),
                "" if n_genes == len(design.genes) else _partial(n_genes, design),
            ),
            x="",
            y="residual SD, scaled to one measurement, log fold change (log2)",
        )
        + theme(8, 1.6 + 0.2 * len(table))
    )
    return picture.draw()


@styled
def checked_quantities(quantities: pd.DataFrame) -> Figure:
    """Draw each checked quantity in the data and in posterior replicates, one panel each.

    The line is the mean over draws, as a quantity may depend on the parameters.
    """
    table = quantities[quantities["stage"] == "posterior"]
    checks = predictive_checks(table)
    panels = {
        check.name: f"{check.name}\n{format_p_value(check.p_value, check.n_draws)}"
        for check in checks
    }
    tail = (1 - HDI_MASS) / 2
    data = pd.DataFrame(
        {
            "panel": panels[check.name],
            "observed": check.observed,
            "outside": not tail <= check.p_value <= 1 - tail,
        }
        for check in checks
    )
    order = list(panels.values())
    data["panel"] = pd.Categorical(data["panel"], order)
    table = table.assign(panel=pd.Categorical(table["quantity"].map(panels), order))
    n_rows = -(-len(order) // 4)
    picture = (
        p9.ggplot(table)
        + p9.geom_histogram(p9.aes("replicated"), bins=25, fill=BLUE, alpha=0.6)
        + p9.geom_vline(
            p9.aes(xintercept="observed", colour="outside"), data=data, size=1, show_legend=False
        )
        + p9.facet_wrap("panel", ncol=4, scales="free")
        + p9.scale_colour_manual({False: DARK, True: ORANGE})
        + p9.scale_x_continuous(
            breaks=breaks_extended(n=3),  # type: ignore[arg-type]
            # Default labels use the range of all panels together: 0.04 would become 0.
            labels=lambda breaks: [f"{at:.3g}" for at in breaks],
        )
        + p9.scale_y_continuous(breaks=[])
        + p9.labs(
            title="Posterior predictive checks",
            subtitle="blue: replicates; line: the data, orange where outside 89 % of them",
            x="",
            y="",
        )
        + theme(10, 1.4 + 1.9 * n_rows)
        + p9.theme(panel_spacing_x=0.04, panel_spacing_y=0.02)
    )
    return picture.draw()

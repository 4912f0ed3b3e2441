"""Pictures of the data without a model: log fold change over RNA and by cell line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
import plotnine as p9
from matplotlib.figure import Figure

from model.plots.style import GREY, LOGFC_AXIS, RNA_AXIS, ends, only_ends, styled, subtitle, theme
from model.screen.design import ScreenDesign

MOST_POINTS = 20_000
MOST_COLOURS = 8
_SEED = 1  # of the random subset of points


def measured(design: ScreenDesign) -> pd.DataFrame:
    """Return gene and cell_line (codes), rna (SD) and logfc (log2), one row per measurement.

    One row per gene-line pair, with its mean, if the design has no single measurements.
    """
    if design.measurements is not None:
        return design.measurements[["gene", "cell_line", "rna", "logfc"]]
    cells = design.cells
    return pd.DataFrame(
        {"gene": cells.gene, "cell_line": cells.cell_line, "rna": cells.rna, "logfc": cells.mean}
    )


def labelled(
    codes: Iterable[int], labels: Sequence[str], order: Sequence[str]
) -> pd.Categorical[str]:
    """Return integer codes as labels, with `order` as the order of the picture."""
    return pd.Categorical([labels[code] for code in codes], categories=list(order))


def of_genes(table: pd.DataFrame, design: ScreenDesign, genes: Sequence[str]) -> pd.Series[bool]:
    """Return which rows of `measured` are of some genes, given by label."""
    return table["gene"].isin([design.genes.index(gene) for gene in genes])


def _sample(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return at most MOST_POINTS rows, and a note on it."""
    if len(table) <= MOST_POINTS:
        return table, ""
    return (
        table.sample(MOST_POINTS, random_state=_SEED),
        f"{MOST_POINTS:,} of {len(table):,} points, drawn at random",
    )


@styled
def logfc_over_rna(design: ScreenDesign, effects: pd.DataFrame) -> Figure:
    """Draw every measurement; the genes with the lowest beta are coloured."""
    coloured = effects["gene"].head(MOST_COLOURS).tolist()
    table = measured(design)
    is_coloured = of_genes(table, design, coloured)
    others, note = _sample(table[~is_coloured])
    table = table[is_coloured]
    table = table.assign(gene=labelled(table["gene"], design.genes, coloured))
    n_others = len(design.genes) - len(coloured)
    picture = (
        p9.ggplot(mapping=p9.aes("rna", "logfc"))
        + p9.geom_point(data=others, colour=GREY, size=0.4, alpha=0.3, raster=True)
        + p9.geom_point(p9.aes(colour="gene"), data=table, size=1.2, alpha=0.7)
        + p9.scale_colour_brewer(type="qual", palette="Dark2")
        + p9.guides(colour=p9.guide_legend(override_aes={"size": 3, "alpha": 1}))
        + p9.labs(
            title="Log fold change over RNA, as measured",
            subtitle=subtitle(
                "means of gene and cell line" if design.measurements is None else "",
                f"grey: {n_others:,} other genes" if n_others else "",
                note,
            ),
            x=RNA_AXIS,
            y=LOGFC_AXIS,
        )
        + theme(8.5, 5.5)
    )
    return picture.draw()


@styled
def logfc_by_cell_line(design: ScreenDesign) -> Figure:
    """Draw one box plot per cell line over all genes, by median; the extreme lines of many.

    Boxes are coloured by the most frequent lineages, where known.
    """
    table = measured(design)
    median = table.groupby("cell_line")["logfc"].median()
    shown = median.index[ends(median.to_numpy())]
    table, note = _sample(table[table["cell_line"].isin(shown)])
    order = [design.line_labels[line] for line in shown]
    table = table.assign(
        lineage=table["cell_line"].map(_lineages(design, shown)),
        cell_line=labelled(table["cell_line"], design.line_labels, order[::-1]),
    )
    picture = (
        p9.ggplot(table, p9.aes("cell_line", "logfc", fill="lineage"))
        + p9.geom_boxplot(
            outlier_size=0.5, outlier_alpha=0.4, width=0.6, show_legend=design.lineage is not None
        )
        + (
            p9.scale_fill_manual(["white"])
            if design.lineage is None
            else p9.scale_fill_brewer(type="qual", palette="Set3")
        )
        + p9.coord_flip()
        + p9.labs(
            title="Log fold change by cell line, all genes",
            subtitle=subtitle(only_ends(len(order), len(median), "cell lines"), note),
            x="",
            y=LOGFC_AXIS,
        )
        + theme(8, 1.4 + 0.2 * len(order))
    )
    return picture.draw()


def _lineages(design: ScreenDesign, lines: pd.Index) -> pd.Series[str]:
    """Return the lineage of cell lines (codes), with rare ones as `other`, in order of `lines`."""
    if design.lineage is None:
        return pd.Series("", index=lines)
    lineage = pd.Series([design.lineage[line] or "unknown" for line in lines], index=lines)
    frequent = lineage.value_counts().index[:MOST_COLOURS]
    return lineage.where(lineage.isin(frequent), "other")

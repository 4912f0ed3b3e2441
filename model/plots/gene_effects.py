"""Pictures of the result: log fold change over RNA by gene, and effects of all genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotnine as p9
import xarray as xr
from matplotlib.figure import Figure

from model.effects.fitted_lines import fitted_lines, line_effects
from model.effects.gene_effects import CALLED, NOT_ENOUGH_DATA
from model.plots.data import labelled, measured
from model.plots.style import (
    BETA_AXIS,
    BLUE,
    GREY,
    LOGFC_AXIS,
    MOST_PANELS,
    ORANGE,
    RNA_AXIS,
    names_above,
    styled,
    theme,
)
from model.screen.design import ScreenDesign

N_POINTS = 30
N_LABELS = 16
LABELS_OF_A_CALL = 4
"""Of these at least so many of either sign, if as many are called."""
CALL_COLOURS = {
    **dict(zip(CALLED, (BLUE, ORANGE), strict=True)),
    "none": GREY,
    NOT_ENOUGH_DATA: "#d9d9d9",
}


def lines_table(posterior: xr.Dataset, design: ScreenDesign, genes: list[str]) -> pd.DataFrame:
    """Return the fitted line of each gene (`model.effects.fitted_lines`) as a long table.

    Columns gene, rna, fitted, low, high.
    """
    indices = [design.genes.index(gene) for gene in genes]
    lines = fitted_lines(posterior, design, indices, N_POINTS)
    return pd.DataFrame(
        {
            "gene": pd.Categorical(np.repeat(genes, N_POINTS), categories=genes),
            **{name: values.ravel() for name, values in vars(lines).items()},
        }
    )


@styled
def logfc_over_rna_by_gene(
    tree: xr.DataTree, design: ScreenDesign, effects: pd.DataFrame
) -> Figure:
    """Draw the measurements of the genes with the lowest beta and their lines, one panel each."""
    genes = effects["gene"].head(MOST_PANELS).tolist()
    shown = design.of_genes(design.genes.index(gene) for gene in genes)
    points = measured(shown)
    return _panels(
        points.assign(gene=labelled(points["gene"], shown.genes, genes)),
        lines_table(tree["posterior"].dataset, design, genes),
        title="Log fold change over RNA, as measured",
        note="line and 89 % band: the fit in an average cell line" + _of(genes, design),
        y=LOGFC_AXIS,
    )


@styled
def top_genes(tree: xr.DataTree, design: ScreenDesign, effects: pd.DataFrame) -> Figure:
    """Draw the means of gene-line pairs minus the line's effect, one panel per gene.

    Without the shift of the cell line the points should follow the fitted line.
    """
    genes = effects["gene"].head(MOST_PANELS).tolist()
    posterior = tree["posterior"].dataset
    return _panels(
        without_line_effects(posterior, design, genes),
        lines_table(posterior, design, genes),
        title="The most negative slopes on RNA, cell-line effects removed",
        note="one point per cell line, mean of its measurements; line and 89 % band: the fit"
        + _of(genes, design),
        y=f"{LOGFC_AXIS}, minus the line's effect",
    )


def without_line_effects(
    posterior: xr.Dataset, design: ScreenDesign, genes: list[str]
) -> pd.DataFrame:
    """Return the means of gene-line pairs of some genes, shifted to a line of average gamma.

    Columns gene, rna (SD), logfc (log2; `LineEffects.subtract`), one row per pair.
    """
    effects = line_effects(posterior, design.cell_lines)
    shown = design.of_genes(design.genes.index(gene) for gene in genes)
    cells = shown.cells
    return pd.DataFrame(
        {
            "gene": labelled(cells.gene, shown.genes, genes),
            "rna": cells.rna,
            "logfc": effects.subtract(cells.mean, cells.cell_line),
        }
    )


def _of(genes: list[str], design: ScreenDesign) -> str:
    total = len(design.genes)
    return "" if len(genes) == total else f"\nthe {len(genes)} genes of {total:,} with lowest beta"


def _panels(points: pd.DataFrame, lines: pd.DataFrame, *, title: str, note: str, y: str) -> Figure:
    n_panels = points["gene"].nunique()
    n_rows = -(-n_panels // 4)
    picture = (
        p9.ggplot(points, p9.aes("rna", "logfc"))
        + p9.geom_point(colour=GREY, size=0.9, alpha=0.6, raster=True)
        + p9.geom_ribbon(
            p9.aes("rna", ymin="low", ymax="high"),
            data=lines,
            inherit_aes=False,
            fill=BLUE,
            alpha=0.3,
        )
        + p9.geom_line(p9.aes("rna", "fitted"), data=lines, colour=BLUE, size=1)
        + p9.facet_wrap("gene", ncol=min(4, n_panels))
        + p9.labs(title=title, subtitle=note, x=RNA_AXIS, y=y)
        + theme(10, 1.3 + 2.2 * n_rows)
    )
    return picture.draw()


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Return the genes to label: the surest of each call, so that none of them is left out."""
    order = ["confidence", "size"]
    of_calls = [
        table[table["call"] == call].nlargest(LABELS_OF_A_CALL, order).index for call in CALLED
    ]
    first = of_calls[0].append(of_calls[1])
    others = table.drop(first).nlargest(N_LABELS - len(first), order).index
    return table.loc[first.append(others)]


@styled
def volcano(effects: pd.DataFrame, n_draws: int) -> Figure:
    """Draw confidence in the sign over effect size, one point per gene, the largest labelled.

    `n_draws` draws cannot resolve a local false sign rate below 1 / n_draws: those genes are on a
    dashed line.
    """
    top = np.log10(n_draws)
    table = effects.dropna(subset="lfsr").assign(
        confidence=lambda t: -np.log10(t["lfsr"].clip(lower=1 / n_draws)),
        size=lambda t: t["beta_mean"].abs(),
    )
    named = _named(table)
    width = np.ptp(table["beta_mean"]) if len(table) > 1 else 1.0
    picture = (
        p9.ggplot(table, p9.aes("beta_mean", "confidence"))
        + p9.geom_hline(yintercept=top, linetype="dashed", colour=GREY)
        + p9.geom_vline(xintercept=0, colour=GREY, size=0.4)
        + p9.geom_point(p9.aes(colour="call"), size=1.8, alpha=0.8)
        + names_above(named, "beta_mean", top, width / 35)
        + p9.scale_colour_manual({call: CALL_COLOURS[call] for call in sorted(set(table["call"]))})
        + p9.scale_y_continuous(limits=(0, 1.35 * top), breaks=range(int(top) + 1))
        + p9.labs(
            title="Effect size and confidence, one point per gene",
            subtitle=f"dashed: the limit of {n_draws:,} draws",
            x=BETA_AXIS,
            y="confidence in the sign (−log10 local false sign rate)",
            colour="call",
        )
        + theme(9, 6)
    )
    return picture.draw()

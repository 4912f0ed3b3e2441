"""Pictures of the result: how log fold change goes with RNA, gene by gene, and over all genes.

The numbers are those of `model.effects`; forests of the parameters are in `posterior`.
"""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import plotnine as p9
import xarray as xr
from matplotlib.figure import Figure

from model.design import ScreenDesign
from model.effects import CALLED, NOT_ENOUGH_DATA
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
from model.predictive import HDI_MASS, thin

N_DRAWS_OF_A_LINE = 500
N_LABELS = 16
CALL_COLOURS = {
    **dict(zip(CALLED, (BLUE, ORANGE), strict=True)),
    "none": GREY,
    NOT_ENOUGH_DATA: "#d9d9d9",
}


def fitted_lines(posterior: xr.Dataset, design: ScreenDesign, genes: list[str]) -> pd.DataFrame:
    """Return the line of each gene, in a cell line of average gamma, with its 89 % band.

        alpha_g + mean over c of gamma_c + beta_g * rna

    plus the mean of delta over the gene's measurements where the model has effects of guides: the
    line is of the guides the data are of. Columns gene, rna, fitted, low, high; rna runs over the
    gene's own range. The sum of alpha, the mean gamma and the mean delta is what the data fix; each
    alone may be anywhere (`model.hierarchy.m4`).
    """
    draws = thin(posterior, N_DRAWS_OF_A_LINE)
    average_line = draws["gamma_c"].mean("cell_line")
    parts = []
    for gene in genes:
        own = design.rna[design.genes.index(gene)]
        rna = xr.DataArray(np.linspace(np.nanmin(own), np.nanmax(own), 30), dims="rna")
        one = draws.sel(gene=gene)
        line = one["alpha_g"] + average_line + one["beta_g"] * rna
        if "delta_k" in draws:
            line = line + _mean_delta(draws["delta_k"], design, gene)
        band = az.hdi(line, prob=HDI_MASS, dim=["chain", "draw"])
        parts.append(
            pd.DataFrame(
                {
                    "gene": gene,
                    "rna": rna,
                    "fitted": line.mean(("chain", "draw")),
                    "low": band.sel(ci_bound="lower"),
                    "high": band.sel(ci_bound="upper"),
                }
            )
        )
    return pd.concat(parts).assign(
        gene=lambda table: pd.Categorical(table["gene"], categories=genes)
    )


def _mean_delta(delta: xr.DataArray, design: ScreenDesign, gene: str) -> xr.DataArray:
    """Return the mean of a gene's delta_k over its measurements (chain, draw)."""
    guides = np.flatnonzero(design.guide_gene == design.genes.index(gene))
    count = design.count[guides].sum(axis=1, dtype=np.float64)
    own = delta.sel(guide=[design.guides[guide] for guide in guides])
    return own.dot(xr.DataArray(count / count.sum(), dims="guide"))


@styled
def logfc_over_rna_by_gene(
    tree: xr.DataTree, design: ScreenDesign, effects: pd.DataFrame
) -> Figure:
    """Draw the measurements of the genes with the lowest beta, a panel each, with their line."""
    genes = effects["gene"].head(MOST_PANELS).tolist()
    shown = design.of_genes(design.genes.index(gene) for gene in genes)
    points = measured(shown)
    return _panels(
        points.assign(gene=labelled(points["gene"], shown.genes, genes)),
        fitted_lines(tree["posterior"].dataset, design, genes),
        title="Log fold change over RNA, as measured",
        note="line and 89 % band: the fit in an average cell line" + _of(genes, design),
        y=LOGFC_AXIS,
    )


@styled
def top_genes(tree: xr.DataTree, design: ScreenDesign, effects: pd.DataFrame) -> Figure:
    """Draw the means of the gene-line cells less their line's effect, a panel a gene, with line.

    Without the shift of the cell line the points should lie along the line.
    """
    genes = effects["gene"].head(MOST_PANELS).tolist()
    posterior = tree["posterior"].dataset
    return _panels(
        without_line_effects(posterior, design, genes),
        fitted_lines(posterior, design, genes),
        title="The strongest dependencies, cell-line effects removed",
        note="a point a cell line, mean of its measurements; line and 89 % band: the fit"
        + _of(genes, design),
        y=f"{LOGFC_AXIS}, less the line's effect",
    )


def without_line_effects(
    posterior: xr.Dataset, design: ScreenDesign, genes: list[str]
) -> pd.DataFrame:
    """Return the cell means of some genes as they would be in a cell line of average gamma.

        cell_mean_gc - (gamma_c - mean over c of gamma_c)

    with the posterior mean of gamma. Columns gene, rna (SD), logfc (log2), one row a cell.
    """
    gamma = posterior["gamma_c"].mean(("chain", "draw")).sel(cell_line=list(design.cell_lines))
    shift = (gamma - gamma.mean()).to_numpy()
    shown = design.of_genes(design.genes.index(gene) for gene in genes)
    cells = shown.cells
    return pd.DataFrame(
        {
            "gene": labelled(cells.gene, shown.genes, genes),
            "rna": cells.rna,
            "logfc": cells.mean - shift[cells.cell_line],
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


@styled
def volcano(effects: pd.DataFrame, n_draws: int) -> Figure:
    """Draw sureness of the sign over size of the effect, a point a gene, the largest labelled.

    `n_draws` draws cannot tell a local false sign rate below 1 / n_draws: those genes stand on a
    dashed line.
    """
    top = np.log10(n_draws)
    table = effects.dropna(subset="lfsr").assign(
        sureness=lambda t: -np.log10(t["lfsr"].clip(lower=1 / n_draws)),
        size=lambda t: t["beta_mean"].abs(),
    )
    named = table.nlargest(N_LABELS, ["sureness", "size"])
    width = np.ptp(table["beta_mean"]) if len(table) > 1 else 1.0
    picture = (
        p9.ggplot(table, p9.aes("beta_mean", "sureness"))
        + p9.geom_hline(yintercept=top, linetype="dashed", colour=GREY)
        + p9.geom_vline(xintercept=0, colour=GREY, size=0.4)
        + p9.geom_point(p9.aes(colour="call"), size=1.8, alpha=0.8)
        + names_above(named, "beta_mean", top, width / 35)
        + p9.scale_colour_manual({call: CALL_COLOURS[call] for call in sorted(set(table["call"]))})
        + p9.scale_y_continuous(limits=(0, 1.35 * top), breaks=range(int(top) + 1))
        + p9.labs(
            title="Size and sureness of the effect of RNA, a point a gene",
            subtitle=f"dashed: the most that {n_draws:,} draws can tell",
            x=BETA_AXIS,
            y="sureness of the sign (−log10 local false sign rate)",
            colour="call",
        )
        + theme(9, 6)
    )
    return picture.draw()

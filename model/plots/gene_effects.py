"""Pictures of the result: log fold change over RNA by gene, and effects of all genes."""

from __future__ import annotations

from types import SimpleNamespace

import arviz as az
import numpy as np
import pandas as pd
import plotnine as p9
import xarray as xr
from matplotlib.figure import Figure

from model.effects.gene_effects import CALLED, NOT_ENOUGH_DATA
from model.likelihood.linear_predictor import linear_predictor
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
from model.prediction.predictive import HDI_MASS, of_design, thin
from model.screen.design import ScreenDesign
from schemas.model_spec import spec_of

N_DRAWS_OF_A_LINE = 500
N_LABELS = 16
CALL_COLOURS = {
    **dict(zip(CALLED, (BLUE, ORANGE), strict=True)),
    "none": GREY,
    NOT_ENOUGH_DATA: "#d9d9d9",
}


def fitted_lines(posterior: xr.Dataset, design: ScreenDesign, genes: list[str]) -> pd.DataFrame:
    """Return the line of each gene, in a cell line of average gamma, with its 89 % band.

    The linear predictor over RNA, with other covariates and guide effects at their means over the
    gene's measurements. Columns gene, rna, fitted, low, high; rna covers the gene's range. The data
    identify only the sum of alpha, mean gamma and mean delta (`model.engines.nuts.plain.m4`).
    """
    draws, spec = thin(posterior, N_DRAWS_OF_A_LINE), spec_of(posterior.data_vars)
    shape = (draws.sizes["chain"], draws.sizes["draw"], -1)
    parts = []
    for gene in genes:
        part = design.of_genes([design.genes.index(gene)])
        effects = of_design(draws, part)
        for effect in spec.effects:
            if effect.dim != "gene":
                weights = part.count.sum(axis=1) if effect.dim == "guide" else None
                average = np.average(effects[effect.name], axis=1, weights=weights)
                effects[effect.name] = average[:, None]
        if spec.line_scale:
            effects[spec.line_scale.name] = np.ones((len(effects["alpha_g"]), 1))
        rna = np.linspace(np.nanmin(part.rna), np.nanmax(part.rna), 30)
        first = dict.fromkeys(("gene", "cell_line", "guide"), np.zeros(rna.size, int))
        others = {effect.covariate: 0.0 for effect in spec.slopes}
        at = SimpleNamespace(**first, covariates=others | {"rna": rna})
        line = xr.DataArray(
            linear_predictor(spec, effects, at).reshape(shape), dims=("chain", "draw", "rna")
        )
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
        fitted_lines(tree["posterior"].dataset, design, genes),
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
        fitted_lines(posterior, design, genes),
        title="The most negative slopes on RNA, cell-line effects removed",
        note="one point per cell line, mean of its measurements; line and 89 % band: the fit"
        + _of(genes, design),
        y=f"{LOGFC_AXIS}, minus the line's effect",
    )


def without_line_effects(
    posterior: xr.Dataset, design: ScreenDesign, genes: list[str]
) -> pd.DataFrame:
    """Return the means of gene-line pairs of some genes, shifted to a line of average gamma.

        (cell_mean_gc - gamma_c) / s_c + mean over c of gamma_c

    with the posterior means of gamma and of the scale s, 1 in a model without. Columns gene, rna
    (SD), logfc (log2), one row per pair.
    """
    of_lines = posterior[["gamma_c", *({"s_c"} & set(posterior))]]
    means = of_lines.mean(("chain", "draw")).sel(cell_line=list(design.cell_lines))
    gamma = means["gamma_c"].to_numpy()
    scale = means["s_c"].to_numpy() if "s_c" in means else np.ones(gamma.size)
    shown = design.of_genes(design.genes.index(gene) for gene in genes)
    cells = shown.cells
    return pd.DataFrame(
        {
            "gene": labelled(cells.gene, shown.genes, genes),
            "rna": cells.rna,
            "logfc": (cells.mean - gamma[cells.cell_line]) / scale[cells.cell_line] + gamma.mean(),
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
    """Draw confidence in the sign over effect size, one point per gene, the largest labelled.

    `n_draws` draws cannot resolve a local false sign rate below 1 / n_draws: those genes are on a
    dashed line.
    """
    top = np.log10(n_draws)
    table = effects.dropna(subset="lfsr").assign(
        confidence=lambda t: -np.log10(t["lfsr"].clip(lower=1 / n_draws)),
        size=lambda t: t["beta_mean"].abs(),
    )
    named = table.nlargest(N_LABELS, ["confidence", "size"])
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

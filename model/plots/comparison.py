"""The picture of a comparison: the slopes of two fits against each other, with their intervals."""

from __future__ import annotations

import pandas as pd
import plotnine as p9
from matplotlib.figure import Figure

from model.plots.style import BLUE, GREY, ORANGE, styled, theme
from schemas.comparison import Comparison

N_LABELS = 12
Z_89 = 1.598  # half the width of the central 89 % of a normal, in SDs


@styled
def slopes_figure(genes: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw beta of B over beta of A, one point a gene with 89 % intervals.

    Genes whose slope has more likely than not moved by the practical difference are coloured, the
    most different of them labelled.
    """
    table = genes.assign(
        moved=(genes["prob_practical"] > 0.5).map({True: "moved", False: "as before"})
    )
    for x in ("a", "b"):
        table[f"low_{x}"] = table[f"beta_mean_{x}"] - Z_89 * table[f"beta_sd_{x}"]
        table[f"high_{x}"] = table[f"beta_mean_{x}"] + Z_89 * table[f"beta_sd_{x}"]
    a, b = comparison.a, comparison.b
    plot = (
        p9.ggplot(table, p9.aes("beta_mean_a", "beta_mean_b", colour="moved"))
        + p9.geom_abline(slope=1, intercept=0, colour=GREY, linetype="dashed")
        + p9.geom_linerange(p9.aes(ymin="low_b", ymax="high_b"), alpha=0.35)
        + p9.geom_segment(
            p9.aes(x="low_a", xend="high_a", y="beta_mean_b", yend="beta_mean_b"), alpha=0.35
        )
        + p9.geom_point(size=1.6)
        + p9.geom_text(
            p9.aes(label="gene"),
            data=table[table["moved"] == "moved"].head(N_LABELS),
            size=8,
            ha="left",
            va="bottom",
            nudge_x=0.01,
            show_legend=False,
        )
        + p9.scale_colour_manual({"moved": ORANGE, "as before": BLUE}, name="slope")
        + p9.labs(
            title=f"{comparison.dataset}: slopes on RNA of two fits",
            subtitle="points: posterior means; bars: 89 %; dashed: no difference",
            x=f"beta, {a.release} {a.model}",
            y=f"beta, {b.release} {b.model}",
        )
        + theme(7, 6.5)
    )
    return plot.draw()

"""Pictures of influence: the most influential line of each gene, and slopes within lineages.

The numbers are columns of the table of genes (`model.effects.influence`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotnine as p9
from matplotlib.figure import Figure

from model.effects.gene_effects import influential_lines
from model.plots.style import BETA_AXIS, BLUE, GREY, ORANGE, Z_SHOWN, styled, subtitle, theme

MOST_GENES = 20
N_LABELS = 6


@styled
def influence_of_lines(effects: pd.DataFrame) -> Figure:
    """Draw beta with all lines and without the most influential one, for the largest changes."""
    known = effects.dropna(subset="influence")
    table = known.loc[known["influence"].abs().nlargest(MOST_GENES).index].assign(
        without=lambda t: t["beta_mean"] + t["influence"] * t["beta_sd"],
        label=lambda t: t["gene"].str.partition(" (")[0] + ", " + influential_lines(t),
        carried=lambda t: np.where(
            t["carried_by_one_line"].astype(bool), "driven by that line", "others"
        ),
    )
    order = table.sort_values("without", ascending=False)["label"]
    table["label"] = pd.Categorical(table["label"], categories=order, ordered=True)
    table["low"] = table["beta_mean"] - Z_SHOWN * table["beta_sd"]
    table["high"] = table["beta_mean"] + Z_SHOWN * table["beta_sd"]
    picture = (
        p9.ggplot(table, p9.aes(y="label"))
        + p9.geom_vline(xintercept=0, colour=GREY, size=0.4)
        + p9.geom_segment(
            p9.aes(x="low", xend="high", yend="label"), colour=GREY, size=2, alpha=0.4
        )
        + p9.geom_segment(
            p9.aes(x="beta_mean", xend="without", yend="label", colour="carried"), size=0.6
        )
        + p9.geom_point(p9.aes(x="beta_mean"), colour=GREY, size=2)
        + p9.geom_point(p9.aes(x="without", colour="carried"), size=2.4)
        + p9.scale_colour_manual({"driven by that line": ORANGE, "others": BLUE})
        + p9.labs(
            title="The most influential cell line of each slope",
            subtitle=subtitle(
                "grey: all lines, with an interval of 89 %; coloured: without the named line",
                f"the {len(table)} of {len(effects):,} genes with the largest changes",
            ),
            x=BETA_AXIS,
            y="",
            colour="the sign",
        )
        + theme(9, 1.8 + 0.24 * len(table))
    )
    return picture.draw()


@styled
def within_lineages(effects: pd.DataFrame) -> Figure:
    """Draw the slope within lineages over that across all lines, one point per gene."""
    table = effects.dropna(subset="beta_within_lineage_mean").assign(
        low=lambda t: t["beta_within_lineage_mean"] - Z_SHOWN * t["beta_within_lineage_sd"],
        high=lambda t: t["beta_within_lineage_mean"] + Z_SHOWN * t["beta_within_lineage_sd"],
        symbol=lambda t: t["gene"].str.partition(" (")[0],
        kind=lambda t: np.where(t["marks_lineage"].astype(bool), "marks a lineage", "others"),
    )
    # Labels of genes on the dashed line would overlap; those off it matter.
    away = (table["beta_within_lineage_mean"] - table["beta_mean"]).abs()
    named = table[(table["kind"] != "others") | (away >= away.nlargest(N_LABELS).min())]
    picture = (
        p9.ggplot(table, p9.aes("beta_mean", "beta_within_lineage_mean"))
        + p9.geom_hline(yintercept=0, colour=GREY, size=0.4)
        + p9.geom_vline(xintercept=0, colour=GREY, size=0.4)
        + p9.geom_abline(slope=1, intercept=0, linetype="dashed", colour=GREY)
        + p9.geom_linerange(
            p9.aes(ymin="low", ymax="high", colour="kind"), data=named, size=0.5, alpha=0.6
        )
        + p9.geom_point(p9.aes(colour="kind"), size=1.8, alpha=0.8)
        + p9.geom_text(
            p9.aes(label="symbol"), data=named, size=8, ha="left", nudge_x=0.01, va="bottom"
        )
        + p9.scale_colour_manual({"marks a lineage": ORANGE, "others": BLUE})
        + p9.labs(
            title="Effects within lineages",
            subtitle="on the dashed line: the same slope; on zero: an effect between lineages only",
            x=BETA_AXIS,
            y="the same within lineages",
            colour="",
        )
        + theme(8, 6)
    )
    return picture.draw()

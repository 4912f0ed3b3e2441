"""Pictures of a comparison: slopes against each other, differences, ranks, attribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotnine as p9
from matplotlib.figure import Figure

from model.plots.style import BLUE, DARK, GREY, ORANGE, Z_SHOWN, names_above, styled, theme
from schemas.comparison import OPPOSITE_SIGN, STEP_WORDS, Comparison

N_LABELS = 12
N_GENES = 20
Z_NOTED = 2.0
HIT_COLOURS = {
    OPPOSITE_SIGN: "#b5179e",
    "both": DARK,
    "lost": ORANGE,
    "gained": BLUE,
    "neither": "#c4c4c4",
}
STEP_COLOURS = {
    "lost": "#8c6bb1",
    "sequences": "#e3a33b",
    "values": ORANGE,
    "rna": "#7a5c3e",
    "settings": "#4a9a62",
    "gained": BLUE,
}


def comparison_figures(genes: pd.DataFrame, comparison: Comparison) -> dict[str, Figure]:
    """Return all pictures that apply to the comparison, by name."""
    figures = {"slopes": slopes_figure(genes, comparison)}
    if not genes.empty and not comparison.identical:
        figures["differences"] = differences_figure(genes, comparison)
        figures["ranks"] = ranks_figure(genes, comparison)
    if comparison.steps:
        figures["due_to"] = due_to_figure(genes, comparison)
    return figures


@styled
def slopes_figure(genes: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw beta of B over beta of A, one point per gene with 89 % intervals.

    Genes whose slope has probably changed by more than the practical difference are coloured, and
    the most different of them are labelled.
    """
    table = genes.assign(
        slope=(genes["prob_practical"] > 0.5).map({True: "changed", False: "unchanged"})
    )
    for x in ("a", "b"):
        table[f"low_{x}"] = table[f"beta_mean_{x}"] - Z_SHOWN * table[f"beta_sd_{x}"]
        table[f"high_{x}"] = table[f"beta_mean_{x}"] + Z_SHOWN * table[f"beta_sd_{x}"]
    a, b = comparison.a, comparison.b
    plot = (
        p9.ggplot(table, p9.aes("beta_mean_a", "beta_mean_b", colour="slope"))
        + p9.geom_abline(slope=1, intercept=0, colour=GREY, linetype="dashed")
        + p9.geom_linerange(p9.aes(ymin="low_b", ymax="high_b"), alpha=0.35)
        + p9.geom_segment(
            p9.aes(x="low_a", xend="high_a", y="beta_mean_b", yend="beta_mean_b"), alpha=0.35
        )
        + p9.geom_point(size=1.6)
        + p9.geom_text(
            p9.aes(label="gene"),
            data=table[table["slope"] == "changed"].head(N_LABELS),
            size=8,
            ha="left",
            va="bottom",
            nudge_x=0.01,
            show_legend=False,
        )
        + p9.scale_colour_manual({"changed": ORANGE, "unchanged": BLUE}, name="slope")
        + p9.labs(
            title=f"{comparison.dataset}: slopes on RNA of two fits",
            subtitle="points: posterior means; bars: 89 %; dashed: no difference",
            x=f"beta, A: {a.release} {a.model}",
            y=f"beta, B: {b.release} {b.model}",
        )
        + theme(7, 6.5)
    )
    return plot.draw()


@styled
def differences_figure(genes: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw the z-score of each difference over its size, coloured by change of hits.

    Hits with opposite signs are labelled first.
    """
    table = genes.assign(
        sure=genes["difference_z"].abs(), hit=pd.Categorical(genes["hit"], list(HIT_COLOURS))
    )
    top = max(float(table["sure"].max()), Z_NOTED)
    opposite = table[table["hit"] == OPPOSITE_SIGN]
    others = table[table["hit"] != OPPOSITE_SIGN].nlargest(N_LABELS, "sure")
    named = pd.concat([opposite, others]).head(N_LABELS)
    width = float(np.ptp(table["difference"])) or 1.0
    note = f"dotted: {Z_NOTED:.0f} posterior SDs"
    if comparison.same_data:
        note += "; not a test, as both fits use the same data"
    plot = (
        p9.ggplot(table, p9.aes("difference", "sure", colour="hit"))
        + p9.geom_vline(xintercept=0, colour=GREY, size=0.4)
        + p9.geom_hline(yintercept=Z_NOTED, colour=GREY, linetype="dotted")
        + names_above(named, "difference", top, width / 30)
        + p9.geom_point(size=1.8)
        + p9.scale_colour_manual(HIT_COLOURS, name="hit in", drop=False)
        + p9.scale_y_continuous(limits=(0, 1.35 * top))
        + p9.labs(
            title=f"{comparison.dataset}: differences of the slopes, B minus A",
            subtitle=note,
            x="difference of beta: log fold change (log2) per SD of RNA",
            y="difference in combined posterior SDs",
        )
        + theme(8, 6)
    )
    return plot.draw()


@styled
def ranks_figure(genes: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw the changes of rank of the most negative slopes of either fit."""
    top = genes[(genes["rank_a"] <= N_GENES) | (genes["rank_b"] <= N_GENES)]
    table = pd.concat(
        [
            pd.DataFrame(
                {"gene": top["gene"], "fit": x, "rank": top[f"rank_{y}"], "hit": top["hit"]}
            )
            for x, y in (("A", "a"), ("B", "b"))
        ]
    )
    table["hit"] = pd.Categorical(table["hit"], list(HIT_COLOURS))
    at_b = table[table["fit"] == "B"]
    a, b = comparison.a, comparison.b
    plot = (
        p9.ggplot(table, p9.aes("fit", "rank", group="gene", colour="hit"))
        + p9.geom_line()
        + p9.geom_point(size=2)
        + p9.geom_text(
            p9.aes(label="gene"), data=at_b, ha="left", nudge_x=0.04, size=8, show_legend=False
        )
        + p9.scale_y_reverse(breaks=[1, *range(5, int(table["rank"].max()) + 1, 5)])
        + p9.scale_x_discrete(expand=(0.05, 0.05, 0.05, 0.5))
        + p9.scale_colour_manual(HIT_COLOURS, name="hit in", drop=False)
        + p9.labs(
            title=f"{comparison.dataset}: most negative slopes of either fit",
            subtitle=f"A: {a.release} {a.model}; B: {b.release} {b.model}",
            x="",
            y="rank (1: most negative)",
        )
        + theme(6, 7)
    )
    return plot.draw()


@styled
def due_to_figure(genes: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw, for the genes that differ most, the part of the difference due to each step."""
    largest = genes.reindex(genes["difference"].abs().sort_values(ascending=False).index)
    top = largest.head(N_GENES)
    names = [step.name for step in comparison.steps]
    table = top.melt(
        id_vars="gene", value_vars=[f"due_to_{name}" for name in names], value_name="part"
    )
    table["step"] = pd.Categorical(
        table["variable"].str.removeprefix("due_to_").map(STEP_WORDS),
        [STEP_WORDS[name] for name in names],
    )
    order = list(top["gene"])[::-1]
    table["gene"] = pd.Categorical(table["gene"], order)
    total = top.assign(gene=pd.Categorical(top["gene"], order))
    plot = (
        p9.ggplot(table, p9.aes("gene", "part"))
        + p9.geom_col(p9.aes(fill="step"))
        + p9.geom_hline(yintercept=0, colour=DARK)
        + p9.geom_point(p9.aes("gene", "difference"), data=total, colour=DARK, size=1.6)
        + p9.coord_flip()
        + p9.scale_fill_manual(
            {STEP_WORDS[name]: STEP_COLOURS[name] for name in names}, name="due to"
        )
        + p9.labs(
            title=f"{comparison.dataset}: attribution of the largest differences",
            subtitle="bars: change of beta by each step; points: their sum, B minus A",
            x="",
            y="change of beta: log fold change (log2) per SD of RNA",
        )
        + theme(8, 1.5 + 0.25 * max(len(top), 6))
        + p9.theme(legend_position="bottom", legend_direction="vertical")
    )
    return plot.draw()

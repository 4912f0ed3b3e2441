"""Picture of a permutation trial: false share of calls, and the other calls, by method."""

from __future__ import annotations

import pandas as pd
import plotnine as p9
from matplotlib.figure import Figure

from model.plots.style import BLUE, GREY, ORANGE, styled, theme
from schemas.permutation import MODEL_METHODS, PermutationReport

FALSE = "share of calls with permuted RNA (false)"
OTHER = "calls with RNA as measured, per permutation"


@styled
def permutation_figure(counts: pd.DataFrame, report: PermutationReport) -> Figure:
    """Draw the false share of calls with its interval, and the other calls, by method.

    `counts` is `model.simulation.permutation_verdict.counts_table`.
    """

    def placed(table: pd.DataFrame, panel: str) -> pd.DataFrame:
        return table.assign(
            panel=pd.Categorical([panel] * len(table), [FALSE, OTHER]),
            by=["model" if one in MODEL_METHODS else "regression" for one in table["method"]],
            method=pd.Categorical(
                table["method"].map(report.names), list(report.names.values())[::-1]
            ),
        )

    shares = placed(pd.DataFrame([one.model_dump() for one in report.methods]), FALSE)
    shares["calls"] = [f"{one.n_false:,} of {one.n_called:,}" for one in report.methods]
    single = placed(counts, OTHER)
    means = placed(counts.groupby("method")["n_other"].mean().reset_index(), OTHER)
    nominal = pd.DataFrame({"at": [report.level], "panel": pd.Categorical([FALSE], [FALSE, OTHER])})
    plot = (
        p9.ggplot(mapping=p9.aes(y="method", colour="by"))
        + p9.geom_vline(p9.aes(xintercept="at"), data=nominal, colour=GREY, linetype="dashed")
        + p9.geom_blank(p9.aes(x=0), data=pd.concat([shares, means]))
        + p9.geom_segment(p9.aes(x="low", xend="high", yend="method"), data=shares)
        + p9.geom_point(p9.aes(x="false_share"), data=shares.dropna(), size=2.4)
        + p9.geom_text(
            p9.aes(x="(low + high) / 2", label="calls"), data=shares, size=8, nudge_y=0.28
        )
        + p9.geom_point(p9.aes(x="n_other"), data=single, alpha=0.35, size=1.6)
        + p9.geom_point(p9.aes(x="n_other"), data=means, size=2.8, shape="D")
        + p9.facet_wrap("panel", ncol=2, scales="free_x")
        + p9.scale_colour_manual({"model": BLUE, "regression": ORANGE}, guide=None)
        + p9.labs(
            title=f"{report.dataset} {report.release}: calls of {report.model} on permuted screens",
            subtitle=f"{report.settings.permutations:,} permutations of the RNA of "
            f"{report.n_genes_permuted:,} of {report.n_genes:,} genes; left: 89 % interval, dashed "
            f"the nominal rate {report.level:g};\nright: single permutations, and their mean",
            x="",
            y="",
        )
        + theme(10, 3.2)
    )
    return plot.draw()

"""Pictures of a calibration: ECDFs with their bands, and coverage of intervals."""

from __future__ import annotations

import pandas as pd
import plotnine as p9
from matplotlib.figure import Figure
from mizani.breaks import breaks_extended

from model.plots.style import BLUE, GREY, ORANGE, styled, theme
from schemas.calibration import CalibrationReport

POINTS_SHOWN = 200
"""Largest number of points of a curve."""


@styled
def ecdf_figure(ecdf: pd.DataFrame, report: CalibrationReport) -> Figure:
    """Draw the ECDF of each quantity's PIT minus the diagonal, with its band."""
    inside = {one.quantity: one.inside for one in report.quantities}
    order = list(dict.fromkeys(ecdf["quantity"]))
    every = max(1, len(ecdf) // len(order) // POINTS_SHOWN)
    within = ecdf.groupby("quantity").cumcount() % every == 0
    table = ecdf[within].assign(
        quantity=pd.Categorical(ecdf["quantity"][within], order),
        ranks=ecdf["quantity"][within].map(
            lambda name: "uniform" if inside[name] else "not uniform"
        ),
    )
    n_rows = -(-len(order) // 4)
    plot = (
        p9.ggplot(table, p9.aes("pit", "difference"))
        + p9.geom_ribbon(p9.aes(ymin="low", ymax="high"), fill=GREY, alpha=0.3)
        + p9.geom_step(p9.aes(colour="ranks"))
        + p9.facet_wrap("quantity", ncol=4)
        + p9.scale_colour_manual({"uniform": BLUE, "not uniform": ORANGE}, name="ranks")
        + p9.scale_x_continuous(breaks=[0, 0.5, 1])
        + p9.labs(
            title=f"{_what(report)}: ranks of the true values among posterior draws",
            subtitle=f"{report.n_simulations:,} simulated screens; grey: band of all curves of a "
            f"calibrated engine with probability {report.settings.band_probability:g}",
            x="share of posterior draws below the true value",
            y="ECDF minus the diagonal",
        )
        + theme(10, 1.6 + 1.9 * n_rows)
    )
    return plot.draw()


@styled
def coverage_figure(report: CalibrationReport) -> Figure:
    """Draw the coverage of intervals, with the nominal coverage."""
    errors = report.settings.max_coverage_errors
    table = pd.DataFrame(
        {
            "variable": one.variable,
            "level": f"{one.level:.0%}",
            "nominal": one.level,
            "coverage": one.coverage,
            "low": one.coverage - errors * one.mcse,
            "high": one.coverage + errors * one.mcse,
        }
        for one in report.coverage
    )
    order = list(dict.fromkeys(table["variable"]))[::-1]
    table["variable"] = pd.Categorical(table["variable"], order)
    plot = (
        p9.ggplot(table, p9.aes("coverage", "variable"))
        + p9.geom_vline(p9.aes(xintercept="nominal"), colour=GREY, linetype="dashed")
        + p9.geom_segment(p9.aes(x="low", xend="high", yend="variable"), colour=BLUE)
        + p9.geom_point(colour=BLUE, size=1.8)
        + p9.facet_wrap("level", ncol=3, scales="free_x")
        + p9.scale_x_continuous(breaks=breaks_extended(n=3))  # type: ignore[arg-type]
        + p9.labs(
            title=f"{_what(report)}: coverage of intervals",
            subtitle=f"bars: {errors:g} Monte Carlo errors; dashed: nominal",
            x="share of true values inside the central interval",
            y="",
        )
        + theme(9, 1.4 + 0.27 * len(order))
    )
    return plot.draw()


def _what(report: CalibrationReport) -> str:
    settings = report.settings
    engines = " and ".join(report.engines)
    drawn = "" if settings.simulated == settings.model else f", screens of {settings.simulated}"
    return f"{settings.model} by {engines}{drawn}"

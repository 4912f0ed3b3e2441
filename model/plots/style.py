"""Style of all pictures: axis labels, sizes, colours, and selection of genes to show."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import plotnine as p9
from matplotlib.figure import Figure
from scipy.special import ndtri

from model.prediction.predictive import HDI_MASS

LOGFC_AXIS = "log fold change (log2)"
RNA_AXIS = "RNA (SD from the gene's mean)"
BETA_AXIS = "beta: log fold change (log2) per SD of RNA"

BLUE, ORANGE, GREY, DARK = "#2b6ca3", "#d1662b", "#9a9a9a", "#333333"

Z_SHOWN = float(ndtri((1 + HDI_MASS) / 2))
"""Half the width of a shown interval of a normal distribution, in SDs."""

MOST_PANELS = 12
MOST_ROWS_PER_END = 20

_SETTINGS: Any = {
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a gene may have $ in its name
}


def styled[**P](draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Return `draw` with the style of this project, independent of matplotlib's settings."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_SETTINGS)
            return draw(*args, **kwargs)

    return wrapper


def theme(width: float, height: float) -> Any:
    """Return the plotnine theme, for a picture of this size in inches."""
    return p9.theme_minimal(base_size=10) + p9.theme(
        figure_size=(width, height),
        plot_title=p9.element_text(size=12, ha="left", weight="bold"),
        plot_subtitle=p9.element_text(size=10, ha="left", color=DARK),
        strip_text=p9.element_text(size=10),
        panel_grid_minor=p9.element_blank(),
    )


def names_above(named: pd.DataFrame, x: str, top: float, gap: float) -> list[Any]:
    """Return the plotnine layers with gene symbols above a panel whose points reach up to `top`.

    Symbols are at least `gap` apart, each connected to its point at `x`.
    """
    placed = named.sort_values(x)
    placed["label_at"] = spaced(placed[x].to_numpy(), gap)
    placed["symbol"] = placed["gene"].str.partition(" (")[0]
    return [
        p9.geom_segment(
            p9.aes(xend="label_at", yend=1.06 * top), data=placed, colour=GREY, size=0.4
        ),
        p9.geom_text(
            p9.aes("label_at", 1.08 * top, label="symbol"),
            data=placed,
            angle=90,
            ha="center",
            va="bottom",
            size=8,
            show_legend=False,
        ),
    ]


def title(figure: Figure, text: str, note: str = "") -> None:
    """Write a title above a figure, with a note on the line below."""
    figure.suptitle(text + (f"\n{note}" if note else ""), fontsize=12)


def subtitle(*notes: str) -> str:
    """Return the notes that are not empty, one per line."""
    return "\n".join(note for note in notes if note)


def ends(values: np.ndarray, each: int = MOST_ROWS_PER_END) -> np.ndarray:
    """Return the indices of the lowest and the highest `each` values, ascending by value.

    All indices for up to 3 x `each` values.
    """
    order = np.argsort(values, kind="stable")
    return order if order.size <= 3 * each else np.r_[order[:each], order[-each:]]


def only_ends(shown: int, total: int, what: str) -> str:
    """Return a note on the items shown, empty where all are."""
    if shown == total:
        return ""
    return f"the {shown // 2} lowest and {shown // 2} highest of {total:,} {what}"


def spaced(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Return positions at least `gap` apart, near the ascending `wanted` ones and in order."""
    room = gap * np.arange(wanted.size)
    pushed_up = np.maximum.accumulate(wanted - room)
    pushed_down = np.minimum.accumulate((wanted - room)[::-1])[::-1]
    # Both keep the gaps, and so does their mean, which deviates half as far.
    return (pushed_up + pushed_down) / 2 + room

"""Predictive checks: quantities of the data beside their replicates under the model.

Each quantity is made to show one way in which the model can be wrong (Gelman, Meng and
Stern 1996 for quantities that depend on the parameters too). Replicating the data is
`model.predictive`; what follows from a check is `model.verdict`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import xarray as xr

from model.design import ScreenDesign
from model.guide_lines import GuideLines, guide_lines
from model.predictive import HDI_MASS, draws
from schemas.reports import PredictiveCheck


@dataclass(frozen=True, eq=False)
class GuideCells:
    """A data set, real or replicated, as means by guide and line plus what varies inside them."""

    mean: np.ndarray
    """Mean log fold change of a guide in a line (N,), only where measured, log2."""
    within_ss: float
    """Squared deviations from those means, summed over all measurements."""
    fitted: np.ndarray
    """Expected log fold change under the draw it is compared with (N,), log2, guides included."""
    layout: GuideLines
    """Which guide, gene and line each entry belongs to, and its measurements."""

    @cached_property
    def residual(self) -> np.ndarray:
        """Mean less expectation (N,)."""
        return self.mean - self.fitted


def _mean(data: GuideCells) -> float:
    return float(np.average(data.mean, weights=data.layout.count))


def _sd(data: GuideCells) -> float:
    count = data.layout.count
    deviation = data.mean - _mean(data)
    return float(np.sqrt((data.within_ss + (count * deviation**2).sum()) / (count.sum() - 1)))


def _quantile(q: float) -> Callable[[GuideCells], float]:
    return lambda data: float(np.quantile(data.mean, q))


def _spread_over(group: np.ndarray, data: GuideCells) -> float:
    """Return the SD over groups of the log of their root mean square standardised residual."""
    count = data.layout.count
    squares = np.bincount(group, count * data.residual**2)
    n = np.bincount(group)
    used = (n > 1) & (squares != 0)  # a NaN must not vanish
    return float(np.std(0.5 * np.log(squares[used] / n[used])))


def _several_with_two(group: np.ndarray) -> bool:
    """Whether two groups or more have two entries or more, so that their spread can differ."""
    return int((np.bincount(group) > 1).sum()) > 1


def _guide_variance(data: GuideCells) -> float:
    """Return the variance of the guides' mean residuals around their gene's mean residual."""
    layout = data.layout
    weight = np.bincount(layout.guide, layout.count, minlength=layout.guide_gene.size)
    total = np.bincount(
        layout.guide, layout.count * data.residual, minlength=layout.guide_gene.size
    )
    measured = weight > 0
    gene, weight, total = layout.guide_gene[measured], weight[measured], total[measured]
    gene_mean = np.bincount(gene, total) / np.maximum(np.bincount(gene, weight), 1)
    return float(np.mean((total / weight - gene_mean[gene]) ** 2))


def _within_guide_variance(data: GuideCells) -> float:
    return data.within_ss / data.layout.within_df


def _always(_: GuideLines) -> bool:
    return True


@dataclass(frozen=True)
class Quantity:
    """A test quantity: how it is computed, what it shows, and which designs can show it."""

    compute: Callable[[GuideCells], float]
    description: str
    can_show: Callable[[GuideLines], bool] = _always


QUANTITIES: dict[str, Quantity] = {
    "mean": Quantity(_mean, "Mean of all measurements: the overall level."),
    "sd": Quantity(_sd, "SD of all measurements: the overall spread."),
    "quantile_05": Quantity(
        _quantile(0.05), "5 % quantile of guide-line means: the depleted tail."
    ),
    "quantile_95": Quantity(
        _quantile(0.95), "95 % quantile of guide-line means: the enriched tail."
    ),
    "gene_residual_spread": Quantity(
        lambda data: _spread_over(data.layout.gene, data),
        "SD over genes of the log residual spread: genes that are noisier than others.",
        lambda layout: _several_with_two(layout.gene),
    ),
    "line_residual_spread": Quantity(
        lambda data: _spread_over(data.layout.cell_line, data),
        "SD over cell lines of the log residual spread: lines that are noisier than others.",
        lambda layout: _several_with_two(layout.cell_line),
    ),
    "guide_variance": Quantity(
        _guide_variance,
        "Variance between the guides of a gene: guides that differ for good.",
        lambda layout: np.unique(layout.guide).size > np.unique(layout.gene).size,
    ),
    "within_guide_variance": Quantity(
        _within_guide_variance,
        "Variance between replicates of one guide in one line: replicates that agree more closely "
        "than the model's one noise SD allows.",
        lambda layout: layout.within_df > 0,
    ),
}


def predictive_checks(
    parameters: xr.Dataset,
    design: ScreenDesign,
    stage: Literal["prior", "posterior"],
    seed: int,
) -> tuple[PredictiveCheck, ...]:
    """Compare every quantity of QUANTITIES with one replicate for every draw of `parameters`.

    A quantity that depends on the parameters is taken, in the data and in the replicate, under the
    same draw; `p_value` is the share of draws in which the replicate's is at least the data's.
    Replicates are of the same guides; where the model has effects of gene-line and guide-line
    cells, those are drawn anew. `design` may be a part of the one fitted (`predictive.looked_at`).
    A quantity that the design cannot show (replicates that are not there, say) is left out; one
    that comes out NaN has a NaN p-value.
    """
    random = np.random.default_rng(seed)
    cells = guide_lines(design)
    shown = {name: quantity for name, quantity in QUANTITIES.items() if quantity.can_show(cells)}
    observed: dict[str, list[float]] = {name: [] for name in shown}
    replicated: dict[str, list[float]] = {name: [] for name in shown}
    for draw in draws(parameters, design):
        fitted = draw.expected(cells)
        data = GuideCells(cells.mean, cells.within_ss, fitted, cells)
        replicate = GuideCells(*draw.replicate(fitted, cells, random), fitted, cells)
        for name, quantity in shown.items():
            observed[name].append(quantity.compute(data))
            replicated[name].append(quantity.compute(replicate))
    return tuple(
        _check(name, stage, np.array(observed[name]), np.array(replicated[name])) for name in shown
    )


def _check(
    name: str, stage: Literal["prior", "posterior"], observed: np.ndarray, replicated: np.ndarray
) -> PredictiveCheck:
    tail = (1 - HDI_MASS) / 2
    known = np.isfinite(observed).all() and np.isfinite(replicated).all()
    return PredictiveCheck(
        name=name,
        description=QUANTITIES[name].description,
        stage=stage,
        observed=float(observed.mean()),
        replicated_mean=float(replicated.mean()),
        replicated_low=float(np.quantile(replicated, tail)),
        replicated_high=float(np.quantile(replicated, 1 - tail)),
        p_value=float(np.mean(replicated >= observed)) if known else float("nan"),
    )

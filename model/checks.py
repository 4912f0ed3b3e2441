"""Predictive checks: quantities of the data beside their replicates under the model.

Each quantity is made to show one way in which the model can be wrong (DESIGN 7; Gelman, Meng and
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
    """Expected log fold change under the draw it is compared with (N,), log2."""
    layout: GuideLayout
    """Which guide, gene and line each entry belongs to."""

    @cached_property
    def residual(self) -> np.ndarray:
        """Mean less expectation (N,)."""
        return self.mean - self.fitted


@dataclass(frozen=True, eq=False)
class GuideLayout:
    """Which guide, gene and line the N guide-line cells belong to, and their measurements."""

    guide: np.ndarray
    gene: np.ndarray
    cell_line: np.ndarray
    count: np.ndarray
    guide_gene: np.ndarray
    """Gene of each guide (K,)."""

    @property
    def within_df(self) -> int:
        """Measurements less guide-line cells."""
        return int(self.count.sum()) - self.count.size


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
    used = (n > 1) & (squares > 0)
    return float(np.std(0.5 * np.log(squares[used] / n[used])))


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
    return data.within_ss / data.layout.within_df if data.layout.within_df else float("nan")


QUANTITIES: dict[str, tuple[Callable[[GuideCells], float], str]] = {
    "mean": (_mean, "Mean of all measurements: the overall level."),
    "sd": (_sd, "SD of all measurements: the overall spread."),
    "quantile_05": (_quantile(0.05), "5 % quantile of guide-line means: the depleted tail."),
    "quantile_95": (_quantile(0.95), "95 % quantile of guide-line means: the enriched tail."),
    "gene_residual_spread": (
        lambda data: _spread_over(data.layout.gene, data),
        "SD over genes of the log residual spread: genes that are noisier than others.",
    ),
    "line_residual_spread": (
        lambda data: _spread_over(data.layout.cell_line, data),
        "SD over cell lines of the log residual spread: lines that are noisier than others.",
    ),
    "guide_variance": (
        _guide_variance,
        "Variance between the guides of a gene: guides that differ for good.",
    ),
    "within_guide_variance": (
        _within_guide_variance,
        "Variance between replicates of one guide in one line: replicates that agree more closely "
        "than the model's one noise SD allows.",
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
    A quantity that the design cannot show (one guide a line, say) is left out.
    """
    random = np.random.default_rng(seed)
    guide, line = np.nonzero(design.count)
    count = design.count[guide, line].astype(np.float64)
    gene = design.guide_gene[guide]
    layout = GuideLayout(guide, gene, line, count, design.guide_gene)
    observed_mean = design.total[guide, line] / count
    # Rounding may leave a few ulp below zero where all replicates agree.
    observed_ss = max(0.0, design.total_sum_of_squares - float((count * observed_mean**2).sum()))
    rna = design.rna[gene, line]

    observed: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    replicated: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    for draw in draws(parameters):
        fitted = draw.alpha[gene] + draw.gamma[line] + draw.beta[gene] * rna
        data = GuideCells(observed_mean, observed_ss, fitted, layout)
        replicate = GuideCells(
            random.normal(fitted, draw.sigma / np.sqrt(count)),
            draw.sigma**2 * (random.chisquare(layout.within_df) if layout.within_df else 0.0),
            fitted,
            layout,
        )
        for name, (quantity, _) in QUANTITIES.items():
            observed[name].append(quantity(data))
            replicated[name].append(quantity(replicate))
    return tuple(
        _check(name, stage, np.array(observed[name]), np.array(replicated[name]))
        for name in QUANTITIES
        if np.isfinite(observed[name]).all() and np.ptp(replicated[name]) > 0
    )


def _check(
    name: str, stage: Literal["prior", "posterior"], observed: np.ndarray, replicated: np.ndarray
) -> PredictiveCheck:
    tail = (1 - HDI_MASS) / 2
    return PredictiveCheck(
        name=name,
        description=QUANTITIES[name][1],
        stage=stage,
        observed=float(observed.mean()),
        replicated_mean=float(replicated.mean()),
        replicated_low=float(np.quantile(replicated, tail)),
        replicated_high=float(np.quantile(replicated, 1 - tail)),
        p_value=float(np.mean(replicated >= observed)),
    )

"""Predictive checks: quantities of the data compared with replicates under the model.

Each quantity detects one kind of misfit (Gelman, Meng and Stern 1996 for quantities that also
depend on the parameters). `model.diagnostics.verdict` interprets them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd
import xarray as xr

from model.prediction.predictive import HDI_MASS
from model.screen.design import GuideLines
from schemas.model_spec import ModelSpec
from schemas.reports import SLOPE_TAILS, PredictiveCheck, Stage

LEAST_INFORMATION = 0.2
"""Of a gene: share of the variance of its slope that the data remove. Below it, Monte Carlo error
of that share would make the tails."""
FEWEST_GENES = 20
"""Genes with that much information; with fewer the check says nothing."""
AT_ONCE, PIECES = 200, 20
REPLICATES = AT_ONCE * PIECES


@dataclass(frozen=True, eq=False)
class GuideCells:
    """A data set, real or replicated, as means by guide and line and the variation within."""

    mean: np.ndarray
    """Mean log fold change of a guide in a line (N,), only where measured, log2."""
    line_within_ss: np.ndarray
    """Squared deviations from those means, summed over the measurements of each cell line (C,)."""
    fitted: np.ndarray
    """Expected log fold change under the draw it is compared with (N,), log2, guides included."""
    layout: GuideLines
    """Guide, gene, line and number of measurements of each entry."""

    @cached_property
    def residual(self) -> np.ndarray:
        """Mean minus expectation (N,)."""
        return self.mean - self.fitted

    @cached_property
    def squares(self) -> np.ndarray:
        """Squared residual over its variance if all noise is alike, but for a factor (N,)."""
        return self.layout.count * self.residual**2

    @cached_property
    def guide_residual(self) -> np.ndarray:
        """Mean residual of each guide over its measurements (K,); 0 without measurements."""
        layout = self.layout
        n_guides = layout.guide_gene.size
        total = np.bincount(layout.guide, layout.count * self.residual, n_guides)
        return total / np.maximum(layout.guide_count, 1)


def _mean(data: GuideCells) -> float:
    return float(np.average(data.mean, weights=data.layout.count))


def _sd(data: GuideCells) -> float:
    count = data.layout.count
    deviation = data.mean - _mean(data)
    return float(
        np.sqrt((data.line_within_ss.sum() + (count * deviation**2).sum()) / (count.sum() - 1))
    )


def _quantile(values: np.ndarray, share: float) -> float:
    """Return what `numpy.quantile` returns, which takes several times as long."""
    position = share * (values.size - 1)
    below = int(position)
    parted = np.partition(values, below)
    above = parted[below + 1 :].min() if below + 1 < values.size else parted[below]
    return float(parted[below] + (position - below) * (above - parted[below]))


def _spread_over(group: np.ndarray, data: GuideCells) -> float:
    """Return the SD over groups of the log of their root mean square standardised residual."""
    squares, n = np.bincount(group, data.squares), np.bincount(group)
    used = (n > 1) & (squares != 0)  # a NaN must not vanish
    return float(np.std(0.5 * np.log(squares[used] / n[used])))


def _several_with_two(group: np.ndarray) -> bool:
    """Whether at least two groups have at least two entries, so that their spread can differ."""
    return int((np.bincount(group) > 1).sum()) > 1


def _guide_variance(data: GuideCells) -> float:
    """Return the variance of the guides' mean residuals around their gene's mean residual."""
    weight = data.layout.guide_count
    measured = weight > 0
    gene, weight = data.layout.guide_gene[measured], weight[measured]
    residual = data.guide_residual[measured]
    gene_mean = np.bincount(gene, weight * residual) / np.maximum(np.bincount(gene, weight), 1)
    return float(np.mean((residual - gene_mean[gene]) ** 2))


def _within_cell_correlation(data: GuideCells) -> float:
    """Return the correlation between the residuals of two guides of a gene in one line.

    With e_kc the residual of guide k in line c minus the guide's mean residual, and m_gc guides in
    the gene-line pair, over the pairs of two guides or more

        (sum_gc ((sum_k e_kc)^2 - sum_k e_kc^2) / sum_gc m_gc (m_gc - 1)) / mean_kc e_kc^2
    """
    layout = data.layout
    own, cell = data.residual - data.guide_residual[layout.guide], layout.cell
    if not layout.several_guides.all():
        own, cell = own[layout.several_guides], cell[layout.several_guides]
    m = np.bincount(cell)
    squares = float((own**2).sum())
    pairs = float((np.bincount(cell, own) ** 2).sum()) - squares
    return pairs / float((m * (m - 1.0)).sum()) / (squares / own.size)


def _within_guide_variance(data: GuideCells) -> float:
    return float(data.line_within_ss.sum()) / data.layout.within_df


def _line_noise_spread(data: GuideCells) -> float:
    """Return the SD over lines of the log SD of their replicates of one guide."""
    df = data.layout.line_within_df
    used = (df > 1) & (data.line_within_ss != 0)  # a NaN must not vanish
    return float(np.std(0.5 * np.log(data.line_within_ss[used] / df[used])))


def _tail_weight(data: GuideCells) -> float:
    """Return the 99 % quantile of the absolute standardised residual over its median.

    2.576 / 0.674 = 3.8 of a normal distribution, whatever its SD.
    """
    size = np.sqrt(data.squares)
    return _quantile(size, 0.99) / _quantile(size, 0.5)


def _always(_: GuideLines) -> bool:
    return True


@dataclass(frozen=True)
class Quantity:
    """A test quantity: its computation, the misfit it shows, and the designs it applies to."""

    compute: Callable[[GuideCells], float]
    description: str
    can_show: Callable[[GuideLines], bool] = _always
    of_fit: bool = True
    """Whether it depends on the expected values as well as on the measurements."""
    bears_on_beta: bool = False
    """Whether a failure shows that measurements are not as independent as the model assumes. Then
    every interval of beta has a wrong width, and the verdict is `review`. Other failures leave the
    intervals right on average over genes and give a note."""


QUANTITIES: dict[str, Quantity] = {
    "mean": Quantity(_mean, "Mean of all measurements: the overall level.", of_fit=False),
    "sd": Quantity(_sd, "SD of all measurements: the overall spread.", of_fit=False),
    "quantile_05": Quantity(
        lambda data: _quantile(data.mean, 0.05),
        "5 % quantile of guide-line means: the depleted tail.",
        of_fit=False,
    ),
    "quantile_95": Quantity(
        lambda data: _quantile(data.mean, 0.95),
        "95 % quantile of guide-line means: the enriched tail.",
        of_fit=False,
    ),
    "tail_weight": Quantity(
        _tail_weight,
        "99 % quantile of absolute residuals over their median: more outliers than under normal "
        "noise.",
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
    "line_noise_spread": Quantity(
        _line_noise_spread,
        "SD over cell lines of the log SD between replicates of a guide: lines whose measurements "
        "are noisier than others'.",
        lambda layout: int((layout.line_within_df > 1).sum()) > 1,
        of_fit=False,
    ),
    "guide_variance": Quantity(
        _guide_variance,
        "Variance between the guides of a gene: guides that differ consistently.",
        lambda layout: np.unique(layout.guide).size > np.unique(layout.gene).size,
        bears_on_beta=True,
    ),
    "within_cell_correlation": Quantity(
        _within_cell_correlation,
        "Correlation between two guides of a gene in one line: guides that share variation not "
        "explained by the gene's RNA.",
        lambda layout: bool(layout.several_guides.any()),
        bears_on_beta=True,
    ),
    "within_guide_variance": Quantity(
        _within_guide_variance,
        "Variance between replicates of one guide in one line: replicates that agree more closely "
        "than the model's one noise SD allows.",
        lambda layout: layout.within_df > 0,
        of_fit=False,
        bears_on_beta=True,
    ),
}


def predictive_checks(quantities: pd.DataFrame) -> tuple[PredictiveCheck, ...]:
    """Return one check per quantity and stage of a table of quantities, in their order.

    `p_value` is the share of draws in which the replicate's quantity is at least the data's; NaN if
    a quantity is not finite.
    """
    return tuple(
        _check(
            cast(Stage, stage),
            str(name),
            rows["observed"].to_numpy(),
            rows["replicated"].to_numpy(),
        )
        for (stage, name), rows in quantities.groupby(["stage", "quantity"], sort=False)
    )


def _check(
    stage: Stage, name: str, observed: np.ndarray, replicated: np.ndarray
) -> PredictiveCheck:
    tail = (1 - HDI_MASS) / 2
    known = np.isfinite(observed).all() and np.isfinite(replicated).all()
    return PredictiveCheck(
        name=name,
        description=QUANTITIES[name].description,
        stage=stage,
        bears_on_beta=QUANTITIES[name].bears_on_beta,
        observed=float(observed.mean()),
        replicated_mean=float(replicated.mean()),
        replicated_low=float(np.quantile(replicated, tail)),
        replicated_high=float(np.quantile(replicated, 1 - tail)),
        p_value=float(np.mean(replicated >= observed)) if known else float("nan"),
        n_draws=observed.size,
    )


def slope_tails(spec: ModelSpec, posterior: xr.Dataset, seed: int) -> PredictiveCheck | None:
    """Compare the tails of the estimated slopes with those of a Normal distribution.

    Under beta_g ~ Normal(mu_beta, sigma_beta) the posterior mean of a slope is Normal over screens
    with variance sigma_beta^2 - Var(beta_g | data), by the law of total variance, so that

        u_g = (E(beta_g | data) - mu_beta) / sqrt(sigma_beta^2 - Var(beta_g | data))

    are standard Normal over genes. Their kurtosis is compared with that of as many standard Normal
    numbers. Returns None for a model with another prior, and where too few genes are informative.
    """
    effect = spec.gene_effects[spec.rna_column]
    if not effect.sd:
        return None
    slopes, mean, sd = (
        posterior[name].to_numpy().reshape(-1, *posterior[name].shape[2:])
        for name in (effect.name, effect.mean, effect.sd)
    )
    variance = float(np.mean(sd**2))
    removed = variance - (slopes - mean[:, None]).var(axis=0)
    used = removed >= LEAST_INFORMATION * variance
    if np.isnan(removed).any() or used.sum() < FEWEST_GENES:
        return None
    standardised = (slopes.mean(axis=0) - mean.mean())[used] / np.sqrt(removed[used])
    observed = float(_kurtosis(standardised[None])[0])
    random = np.random.default_rng(seed)
    # In pieces: all genes of a release times all replicates take half a gigabyte.
    normal = np.concatenate(
        [_kurtosis(random.standard_normal((AT_ONCE, standardised.size))) for _ in range(PIECES)]
    )
    tail = (1 - HDI_MASS) / 2
    return PredictiveCheck(
        name=SLOPE_TAILS,
        description=(
            "Kurtosis of the standardised slopes of all genes: few large ones among many near 0."
        ),
        stage="posterior",
        bears_on_beta=True,
        observed=observed,
        replicated_mean=float(normal.mean()),
        replicated_low=float(np.quantile(normal, tail)),
        replicated_high=float(np.quantile(normal, 1 - tail)),
        p_value=float(np.mean(normal >= observed)),
        n_draws=REPLICATES,
    )


def _kurtosis(values: np.ndarray) -> np.ndarray:
    """Return the fourth central moment over the squared variance, by row; 3 if Normal."""
    squares = (values - values.mean(axis=1, keepdims=True)) ** 2
    kurtosis: np.ndarray = np.mean(squares**2, axis=1) / np.mean(squares, axis=1) ** 2
    return kurtosis

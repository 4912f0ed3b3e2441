"""Slopes by regression of line means on RNA, as estimated without a model of the screen.

Ordinary least squares, and moderated t statistics, with the false discovery rate of Benjamini and
Hochberg: the reference beside which calls of a fit are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from model.screen.design import ScreenDesign

LEAST_VARIANCE = 1e-5
"""Smallest residual variance used, relative to the median: the floor of limma's fitFDist."""


@dataclass(frozen=True, eq=False)
class RegressionSlopes:
    """Estimated slopes of G genes; NaN where a gene has too few lines or constant RNA."""

    slope: np.ndarray
    """Log fold change per SD of RNA (G,)."""
    error: np.ndarray
    """Standard error (G,)."""
    freedom: np.ndarray
    """Degrees of freedom of the error (G,)."""

    def q_values(self) -> np.ndarray:
        """Return the false discovery rate at which each gene would be called (G,).

        Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57, over the genes
        with a slope; NaN for the others.
        """
        p = np.asarray(2 * stats.t.sf(np.abs(self.slope / self.error), self.freedom))
        known, q = ~np.isnan(p), np.full(p.shape, np.nan)
        q[known] = stats.false_discovery_control(p[known])
        return q


def line_means(design: ScreenDesign) -> np.ndarray:
    """Return the mean log fold change of each gene in each line, NaN where not measured (G, C).

    It is less the mean of the gene and then that of the line.
    """
    measured = design.gene_count > 0
    mean = design.gene_total / np.maximum(design.gene_count, 1)
    for axis in (1, 0):  # a line may be left without measurements, and its mean is not used then
        n = np.maximum(measured.sum(axis=axis, keepdims=True), 1)
        mean = mean - np.where(measured, mean, 0).sum(axis=axis, keepdims=True) / n
    return np.where(measured, mean, np.nan)


def regress(design: ScreenDesign) -> RegressionSlopes:
    """Return slopes on RNA of the means of each gene (`line_means`).

    Every line counts equally, however many guides and replicates it has.
    """
    means = line_means(design)
    fits = [
        _line(rna[used], level[used])
        for level, rna, used in zip(means, design.rna, ~np.isnan(means), strict=True)
    ]
    slope, error, freedom = np.array(fits).T
    return RegressionSlopes(slope, error, freedom)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Return slope, standard error and degrees of freedom of a line through points (n,)."""
    x, y = x - x.mean(), y - y.mean()
    squares, freedom = x @ x, len(x) - 2
    if freedom < 1 or squares == 0:
        return np.nan, np.nan, np.nan
    slope = x @ y / squares
    return slope, np.sqrt(((y - slope * x) ** 2).sum() / freedom / squares), freedom


def moderate(slopes: RegressionSlopes, design: ScreenDesign) -> RegressionSlopes:
    """Return slopes whose residual variances are shrunk towards a common one.

        variance_g ~ scaled F(d_g, d_0) of scale s_0^2
        shrunk_g = (d_0 s_0^2 + d_g variance_g) / (d_0 + d_g)     on d_0 + d_g degrees of freedom

    with d_0 and s_0 from the mean and the variance of log variance_g over genes (Smyth 2004,
    Statistical Applications in Genetics and Molecular Biology 3, section 6.2; limma's eBayes).
    Returns `slopes` where fewer than two genes have a slope.
    """
    known = ~np.isnan(slopes.error)
    if known.sum() < 2:
        return slopes
    used = design.gene_count[known] > 0
    rna = np.where(used, design.rna[known], np.nan)
    unscaled = 1 / (np.nanvar(rna, axis=1) * used.sum(axis=1))
    variance, freedom = slopes.error[known] ** 2 / unscaled, slopes.freedom[known]
    floored = np.maximum(variance, LEAST_VARIANCE * np.median(variance))
    e = np.log(floored) - special.digamma(freedom / 2) + np.log(freedom / 2)
    excess = e.var(ddof=1) - special.polygamma(1, freedom / 2).mean()
    if excess <= 0:
        prior = np.inf
        shrunk = np.full(variance.shape, np.exp(e.mean()))
    else:
        prior = 2 * optimize.brentq(lambda t: float(special.polygamma(1, t)) - excess, 1e-3, 1e6)
        common = np.exp(e.mean() + special.digamma(prior / 2) - np.log(prior / 2))
        shrunk = (prior * common + freedom * variance) / (prior + freedom)
    error, total = slopes.error.copy(), slopes.freedom.copy()
    error[known], total[known] = np.sqrt(shrunk * unscaled), np.minimum(freedom + prior, 1e9)
    return RegressionSlopes(slopes.slope, error, total)


def called_by_regression(design: ScreenDesign, level: float) -> dict[str, np.ndarray]:
    """Return which genes each method calls at a false discovery rate (G,), by method.

    `regression` is ordinary, `moderated_regression` has shrunk variances.
    """
    plain = regress(design)
    return {
        "regression": plain.q_values() <= level,
        "moderated_regression": moderate(plain, design).q_values() <= level,
    }

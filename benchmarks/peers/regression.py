"""Calls by regression of line means, coded plainly: with adaptive shrinkage, with lines scaled.

The regressions themselves are `model.effects.regression`; adaptive shrinkage: Stephens 2017,
Biostatistics 18.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special, stats

from model.effects.gene_effects import s_value
from model.effects.regression import (
    RegressionSlopes,
    called_by_regression,
    line_means,
    moderate,
    regress,
)
from model.screen.design import ScreenDesign

SCALES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Scales of the half-normals of the shrinkage, log2 per SD of RNA; those of m4_screen."""
PENALTY = 10.0
"""Pseudo-count of slopes at 0, as ash's default prior has it; 1: none."""
ROUNDS = 2000
ROUNDS_OF_SCALES = 5
SPREADS = (np.arange(20) + 0.5) / 20
"""Quantiles at which the SD of a gene is taken."""
MODERATED = "moderated regression, BH"
"""The peer whose true calls the others are divided by."""


def shrunk_lfsr(slopes: RegressionSlopes, penalty: float = PENALTY) -> np.ndarray:
    """Return the local false sign rate of each slope under adaptive shrinkage (G,).

    Half-normals on either side of a point mass at 0, weights by expectation-maximisation. Errors
    are t, as a mixture of Normal ones over the distribution of the SD of each gene.
    """
    chi_square = stats.chi2.ppf(SPREADS, slopes.freedom[:, None]) / slopes.freedom[:, None]
    error = (slopes.error[:, None] / np.sqrt(chi_square))[:, :, None]
    slope = slopes.slope[:, None, None]
    scale, sign = np.tile(SCALES, 2), np.repeat([-1.0, 1.0], len(SCALES))
    total = np.sqrt(error**2 + scale**2)
    half = 2 * np.exp(
        stats.norm.logpdf(slope, 0, total)
        + special.log_ndtr(sign * slope * scale / (error * total))
    )
    at_zero = stats.norm.pdf(slope, 0, error)
    likelihood = np.concatenate([at_zero, half], axis=2).mean(axis=1)
    prior = np.append(penalty - 1, np.zeros(len(scale)))
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(ROUNDS):
        share = likelihood * weights
        share /= share.sum(axis=1, keepdims=True)
        weights = share.sum(axis=0) + prior
        weights /= weights.sum()
    negative, positive = (share[:, 1:][:, sign == side].sum(axis=1) for side in (-1, 1))
    return 1 - np.maximum(negative, positive)


def scaled_lines(design: ScreenDesign) -> ScreenDesign:
    """Return a design whose lines have one residual spread; for regressions of line means alone.

        s_c^2 = mean over genes of (residual_gc / residual SD of gene g)^2

    in a few rounds, as the SDs of genes change with the scales of lines. The log fold changes of a
    line are divided by its s_c, of geometric mean 1.
    """
    for _ in range(ROUNDS_OF_SCALES):
        residual = line_means(design) - regress(design).slope[:, None] * design.rna
        residual -= np.nanmean(residual, axis=1, keepdims=True)
        of_gene = np.sqrt(np.nanmean(residual**2, axis=1, keepdims=True))
        scale = np.sqrt(np.nanmean((residual / of_gene) ** 2, axis=0))
        scale /= np.exp(np.log(scale).mean())
        design = replace(design, total=design.total / scale, measurements=None)
    return design


def called_by_peers(design: ScreenDesign, level: float) -> dict[str, np.ndarray]:
    """Return which genes each method calls at a rate (G,)."""
    called = called_by_regression(design, level)
    scaled = scaled_lines(design)
    return {
        "regression, BH": called["regression"],
        MODERATED: called["moderated_regression"],
        "moderated, adaptive shrinkage": _by_shrinkage(design, level),
        "lines scaled, moderated, BH": called_by_regression(scaled, level)["moderated_regression"],
        "lines scaled, moderated, adaptive shrinkage": _by_shrinkage(scaled, level),
        "lines scaled, the same, no penalty": _by_shrinkage(scaled, level, penalty=1),
    }


def _by_shrinkage(design: ScreenDesign, level: float, penalty: float = PENALTY) -> np.ndarray:
    return s_value(shrunk_lfsr(moderate(regress(design), design), penalty)) <= level

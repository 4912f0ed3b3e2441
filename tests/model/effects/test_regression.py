"""Regression of line means beside SciPy's, and moderation beside the mean of its prior."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from model.effects.regression import RegressionSlopes, moderate, regress
from tests.model.simulation.test_permutation import screen_of


def test_slopes_are_those_of_line_means_of_genes_with_enough_lines():
    design = screen_of(60, 15)
    count, rna = design.count.copy(), design.rna.copy()
    count[0, 2:], rna[1] = 0, 0.5  # two lines; constant RNA
    means = np.where(count > 0, design.total, np.nan)
    means -= np.nanmean(means, axis=1, keepdims=True)
    means -= np.nanmean(means, axis=0)
    found = regress(replace(design, count=count, total=design.total * count, rna=rna))
    fits = [stats.linregress(x, y) for x, y in zip(rna[2:], means[2:], strict=True)]
    np.testing.assert_allclose(found.slope[2:], [fit.slope for fit in fits])
    np.testing.assert_allclose(found.error[2:], [fit.stderr for fit in fits])
    q = stats.false_discovery_control([fit.pvalue for fit in fits])
    np.testing.assert_allclose(found.q_values(), [np.nan, np.nan, *q])


def test_moderated_variances_have_the_mean_of_their_posterior():
    """Of variances from the prior of 6 degrees of freedom and scale 0.5^2, on 8 each."""
    n, random, design = 20_000, np.random.default_rng(3), screen_of(20_000, 10)
    variance = 6 * 0.25 / random.chisquare(6, n) * random.chisquare(8, n) / 8
    unscaled = 1 / (design.rna.var(axis=1) * 10)
    plain = RegressionSlopes(np.zeros(n), np.sqrt(variance * unscaled), np.full(n, 8.0))
    found = moderate(plain, design)
    assert found.freedom == pytest.approx(14, rel=0.05)
    np.testing.assert_allclose(found.error**2 / unscaled, (1.5 + 8 * variance) / 14, rtol=0.04)

"""Screens of the benchmarks have the statistics and the noise they promise, unchanged for peers."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.screens import TRUTHS, expanded, hand_over, load_design, made
from tests.designs import design_from_rows


@pytest.mark.parametrize("model", ["m4", "m4_nested"])
def test_a_made_screen_shows_the_truth_it_was_drawn_from(model):
    truth = TRUTHS[model]
    design, beta = made(400, 60, 4, truth, seed=1)
    assert design.count.shape == (1600, 60)
    assert np.std(beta) == pytest.approx(truth.beta, rel=0.15)
    assert design.rna.std(axis=1, ddof=1) == pytest.approx(np.ones(400))
    mean = design.gene_total / design.gene_count
    centred = mean - mean.mean(0)
    slopes = np.sum(design.rna * centred, axis=1) / np.sum(design.rna**2, axis=1)
    assert np.corrcoef(slopes, beta)[0, 1] > 0.75
    within = design.sum_of_squares.sum() - np.sum(design.total**2 / design.count)
    freedom = design.n_measurements - design.count.size
    assert np.sqrt(within / freedom) == pytest.approx(truth.noise, rel=0.02)
    between = np.var(design.total / design.count - mean.repeat(4, axis=0)) * 4 / 3
    noise = truth.noise**2 * np.mean(1 / design.count)
    assert between == pytest.approx(truth.guide**2 + truth.guide_line**2 + noise, rel=0.03)


def test_expanded_rows_have_exactly_the_statistics_and_are_handed_over_unchanged(tmp_path):
    design, _ = made(5, 12, 3, TRUTHS["m4_nested"], seed=2)
    rows = expanded(design, seed=3)
    again = design_from_rows(rows.assign(guide=np.array(design.guides)[rows.guide]))
    for name in ("count", "total", "sum_of_squares", "rna"):
        np.testing.assert_allclose(getattr(again, name), getattr(design, name))
    hand_over(design, rows, tmp_path)
    again = load_design(tmp_path / "design.npz")
    for name in ("genes", "cell_lines", "guides", "rna_is_log2"):
        assert getattr(again, name) == getattr(design, name)
    for name in ("guide_gene", "rna", "count", "total", "sum_of_squares"):
        np.testing.assert_array_equal(getattr(again, name), getattr(design, name), strict=True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "rows.csv"), rows, rtol=1e-15)

"""Screens with unequal noise have the noise they are said to have."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.screens import TRUTHS
from benchmarks.unequal_noise import NOISES, coverage, unequal_screen
from model.checks import QUANTITIES, GuideCells
from model.guide_lines import guide_lines

TRUTH = TRUTHS["m4_nested"]


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_the_variance_is_that_of_the_truth_and_lines_are_as_unequal_as_asked(noise):
    design, _, size = unequal_screen(noise, TRUTH, seed=1)
    cells = guide_lines(design)
    assert cells.within_ss / cells.within_df == pytest.approx(TRUTH.noise**2, rel=0.05)
    data = GuideCells(cells.mean, cells.line_within_ss, cells.mean, cells)
    spread = QUANTITIES["line_noise_spread"].compute(data)
    # t tails make squares of a line vary more by themselves.
    assert spread == pytest.approx(np.hypot(noise.lines, 0.035), abs=0.09)
    assert np.std(0.5 * np.log(size)) == pytest.approx(noise.genes, abs=0.06)


def test_intervals_of_the_right_model_hold_and_those_of_a_wrong_one_do_not():
    right, wrong = (
        coverage(NOISES[0], model, screens=1, truth=TRUTH)["coverage"]
        for model in ("m4_nested", "m4_zero_mean")
    )
    assert right > 0.8 > wrong

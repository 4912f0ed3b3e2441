"""Which rows fit into a picture, and where labels go."""

import numpy as np
import pytest

from model.plots.style import ends, only_ends, spaced


def test_few_values_are_all_shown_ascending():
    assert ends(np.array([3.0, 1.0, 2.0]), each=1).tolist() == [1, 2, 0]


def test_of_many_values_both_ends_are_shown():
    assert ends(np.array([5.0, 1.0, 4.0, 2.0, 3.0, 0.0, 6.0]), each=2).tolist() == [5, 1, 0, 6]


@pytest.mark.parametrize(
    ("shown", "total", "note"),
    [(5, 5, ""), (40, 1105, "the 20 lowest and 20 highest of 1,105 genes")],
)
def test_what_is_left_out_is_said(shown, total, note):
    assert only_ends(shown, total, "genes") == note


def test_places_far_enough_apart_stay():
    assert spaced(np.array([0.0, 2.0, 5.0]), gap=1.0).tolist() == [0, 2, 5]


def test_places_too_close_are_spread_around_their_middle():
    assert spaced(np.array([1.0, 1.0, 1.0]), gap=1.0).tolist() == [0, 1, 2]


def test_spread_keeps_the_gap_and_the_order():
    wanted = np.sort(np.random.default_rng(3).normal(size=50))
    assert (np.diff(spaced(wanted, gap=0.1)) >= 0.1 - 1e-9).all()

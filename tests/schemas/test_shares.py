"""Shares of draws in words: no more digits, and no surer, than the draws are."""

import math

from schemas.shares import p_in_words, share_in_words

SHARES = [
    *((0.31, 500, "0.310"), (0.0, 500, "< 0.002"), (1.0, 500, "> 0.998")),
    *((0.0, 16_000, "< 0.00006"), (0.999875, 8_000, "0.9999"), (0.998, 8_000, "0.9980")),
    (1 - 0.999875, 8_000, "0.0001"),  # a little below 1 / 8,000
    (1e-5, 8_000, "< 0.0001"),  # a mean of shares may be
    (math.nan, 500, "not known"),
]


def test_a_share_is_as_sure_as_its_draws():
    for value, n_draws, words in SHARES:
        assert share_in_words(value, n_draws) == words
        assert p_in_words(value, n_draws) == f"p {'' if words[0] in '<>' else '= '}{words}"

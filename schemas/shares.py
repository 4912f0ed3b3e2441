"""A share of draws in words, no surer than so many draws are; other numbers are not of here."""

from __future__ import annotations

import math


def share_in_words(value: float, n_draws: int) -> str:
    """Return a share of draws, or a mean of such, with as many decimals as so many draws give.

    None or all of S draws say no more than within 1/S of 0 or 1.
    """
    if math.isnan(value):
        return "not known"
    decimals, least = max(3, math.ceil(math.log10(n_draws))), 1 / n_draws
    nearly = least * (1 - 1e-6)  # 1 - (1 - 1/S) is a little below 1/S
    if value < nearly:
        return f"< {least:.{decimals}f}"
    return f"> {1 - least:.{decimals}f}" if value > 1 - nearly else f"{value:.{decimals}f}"


def p_in_words(value: float, n_draws: int) -> str:
    """Return a p-value that is a share of draws as `p = 0.310` or `p < 0.002`."""
    words = share_in_words(value, n_draws)
    return f"p {words}" if words[0] in "<>" else f"p = {words}"

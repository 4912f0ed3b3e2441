"""The likelihood of the SD omega_g of the pairs of a gene, from sums over guides, compiled."""

from __future__ import annotations

import numpy as np

from model.likelihood.pair_sums import summing

_LARGEST_PRODUCT, _AT_ONCE = 1e120, 8
"""Of factors, before its log is taken, one log for many of them; factors between two looks."""


@summing
def spread_sums(
    weight: np.ndarray, total: np.ndarray, log_omega: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the log likelihood of each gene, its derivative and information by log omega_g, (G,).

    `weight` and `total` (G, C) are those of `pair_sums`, with t in place of the latter:

        sum_c (omega^2 r t^2 - log(1 + omega^2 W)) / 2
    """
    n_genes = weight.shape[0]
    value, gradient, info = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes)
    for g in range(n_genes):
        value[g], gradient[g], info[g] = spread_sum(weight[g], total[g], log_omega[g])
    return value, gradient, info


@summing
def spread_sum(
    weight: np.ndarray, total: np.ndarray, log_omega: float
) -> tuple[float, float, float]:
    """Return the same of one gene, from its weights and totals (C,)."""
    variance, n_lines = np.exp(2 * log_omega), weight.size
    squares, shrunk_squares, removed, removed_squares = 0.0, 0.0, 0.0, 0.0
    for line in range(n_lines):
        r = 1 / (1 + variance * weight[line])
        squares += r * total[line] * total[line]
        shrunk_squares += r * total[line] * (r * total[line])
        removed += 1 - r
        removed_squares += (1 - r) * (1 - r)
    logs, product = 0.0, 1.0
    n_full = n_lines - n_lines % _AT_ONCE
    for first in range(0, n_full, _AT_ONCE):
        for line in range(_AT_ONCE):
            product *= 1 + variance * weight[first + line]
        if product > _LARGEST_PRODUCT:
            logs += np.log(product)
            product = 1.0
    for line in range(n_full, n_lines):
        product *= 1 + variance * weight[line]
    value = 0.5 * (variance * squares - logs - np.log(product))
    return value, variance * shrunk_squares - removed, 2 * removed_squares

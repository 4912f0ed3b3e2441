"""The covariance of the guide means of a gene-line pair, with effects of pairs integrated out.

The guides k of gene g in cell line c have means m_k of n_k measurements, whose deviations from the
linear predictor share eps_gc and each have a zeta_kc:

    Cov(m) = diag(sigma_guide_line^2 + sigma^2 / n) + sigma_gene_line^2 1 1'

In units of sigma^2, with a = (sigma_guide_line / sigma)^2 and b = (sigma_gene_line / sigma)^2, its
inverse is (Sherman and Morrison 1950)

    V = diag(w) - b s w w',   w_k = n_k / (1 + a n_k),   W = sum_k w_k,   s = 1 / (1 + b W)

and log|V| = sum_k log w_k + log s (the matrix determinant lemma). The weights are computed here
alone. Arrays may be NumPy's or PyTensor's, in any layout over which guides can be summed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class PairPrecision:
    """V of many gene-line pairs, in units of 1 / sigma^2."""

    spread: Any
    """1 + a n, by guide."""
    w: Any
    """By guide."""
    weight: Any
    """W, by pair."""
    s: Any
    """By pair."""
    b: Any

    def solve(self, deviation: Any, over: Callable[[Any], Any], back: Callable[[Any], Any]) -> Any:
        """Return V e = w (e - b s sum_k w_k e_k), by guide.

        `over` sums over the guides of each pair, `back` repeats a value of each pair by guide.
        """
        total = over(self.w * deviation)
        return self.w * (deviation - back(self.b * self.s * total))

    def diagonal(self, back: Callable[[Any], Any]) -> Any:
        """Return the diagonal of V, by guide: w - b s w^2."""
        return self.w - back(self.b * self.s) * self.w**2


def pair_precision(count: Any, a: Any, b: Any, over: Callable[[Any], Any]) -> PairPrecision:
    """Return V from the measurements `count` of each guide in each line.

    `a` and `b` are the variance ratios of guide-line and of gene-line pairs; `over` is a function
    that sums over the guides of each pair. A guide without measurements has no weight.
    """
    spread = 1 + a * count
    w = count / spread
    weight = over(w)
    return PairPrecision(spread, w, weight, 1 / (1 + b * weight), b)

"""The terms of `blocks` by line, before summation.

Leaving out lines of a screen means leaving them out of these sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.engines.exact.blocks import GeneBlock
from model.likelihood.cell_covariance import pair_precision


@dataclass(frozen=True, eq=False)
class LineTerms:
    """The terms of a block at one pair of variance ratios, by line, in units of sigma."""

    gram: np.ndarray
    """X'VX (p, p, g, C)."""
    coupling: np.ndarray
    """X'V1 (p, g, C)."""
    score: np.ndarray
    """X'Vm (p, g, C)."""
    line_score: np.ndarray
    """1'Vm, summed over the genes (C,)."""
    square: np.ndarray
    """m'Vm, summed over the genes (C,)."""
    half_log_det: np.ndarray
    """Half the log determinant of V minus that of diag(n), summed over the genes (C,)."""


def line_terms(block: GeneBlock, log_ratios: np.ndarray) -> LineTerms:
    """Return the terms of a block at one point `log_ratios` (2,), as in `blocks.data_terms`.

    (0,) in a model without SDs of pairs: a and b are 0, and V is diag(n).
    """
    by_guide = len(block.guides) > 0
    b, a = np.exp(2 * log_ratios) if by_guide else (0.0, 0.0)
    pairs = pair_precision(block.count, a, b, lambda units: units.sum(axis=0))
    w, s, mean, columns = pairs.w, pairs.s, block.mean, block.columns
    wm = w * mean
    total = wm.sum(axis=0)

    p, first = block.n_effects, len(block.own)
    coupling = np.empty((p, *block.shape))
    score = np.empty((p, *block.shape))
    gram = np.empty((p, p, *block.shape))
    np.multiply(pairs.weight * s, columns, out=coupling[:first])
    np.multiply(total * s, columns, out=score[:first])
    if by_guide:
        coupling[first:], score[first:] = w * s, wm - b * s * w * total
        gram[first:, first:] = -b * s * w[:, None] * w
        for k in range(len(w)):
            gram[first + k, first + k] += w[k]
    for at in block.own:
        gram[at] = gram[:, at] = coupling * columns[at]
    return LineTerms(
        gram=gram,
        coupling=coupling,
        score=score,
        line_score=score[0].sum(axis=0),
        square=np.einsum("kgc,kgc->c", wm, mean) - (b * s * total**2).sum(axis=0),
        half_log_det=-0.5 * (np.log(pairs.spread).sum(axis=(0, 1)) - np.log(s).sum(axis=0)),
    )

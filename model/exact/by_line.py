"""What a block of genes tells of its effects, line by line: the terms of `blocks`, not yet summed.

Leaving lines out of a screen is leaving them out of these sums; nothing else of a block changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.exact.blocks import GeneBlock


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
    """Half the log determinant of V less that of diag(n), summed over the genes (C,)."""


def line_terms(block: GeneBlock, log_ratios: np.ndarray) -> LineTerms:
    """Return the terms of a block at one point `log_ratios` (2,), as `blocks.data_terms` has them.

    In m4, (0,): a and b are 0, and V is diag(n).
    """
    nested = len(block.guides) > 0
    b, a = np.exp(2 * log_ratios) if nested else (0.0, 0.0)
    count, mean, rna = block.count, block.mean, block.rna
    spread = 1 + a * count
    w = count / spread
    weight = w.sum(axis=0)
    s = 1 / (1 + b * weight)
    wm = w * mean
    total = wm.sum(axis=0)

    p = block.n_effects
    coupling = np.empty((p, *rna.shape))
    score = np.empty((p, *rna.shape))
    gram = np.empty((p, p, *rna.shape))
    coupling[0], score[0] = weight * s, total * s
    coupling[2:], score[2:] = (w * s, wm - b * s * w * total) if nested else (0, 0)
    coupling[1], score[1] = coupling[0] * rna, score[0] * rna
    gram[0] = gram[:, 0] = coupling
    gram[1] = gram[:, 1] = coupling * rna
    if nested:
        gram[2:, 2:] = -b * s * w[:, None] * w
        for k in range(len(w)):
            gram[2 + k, 2 + k] += w[k]
    return LineTerms(
        gram=gram,
        coupling=coupling,
        score=score,
        line_score=score[0].sum(axis=0),
        square=np.einsum("kgc,kgc->c", wm, mean) - (b * s * total**2).sum(axis=0),
        half_log_det=-0.5 * (np.log(spread).sum(axis=(0, 1)) - np.log(s).sum(axis=0)),
    )

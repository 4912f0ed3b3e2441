"""Where to take what the data say when the effects of the genes are drawn.

What a block says of its genes depends on two of the variance ratios only (m4_nested), or on none
(m4). Draws differ little in them, so a few nodes serve all draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.exact import interpolation
from model.exact.blocks import GeneBlock, data_terms

MOST_DEGREE = 10
TOLERANCE = 1e-8
"""Largest relative error of an interpolated number."""
N_CHECKED = 8


@dataclass(frozen=True, eq=False)
class EffectNodes:
    """Pairs of log ratios, as `data_terms` takes them, and what each counts for each of S draws."""

    at: np.ndarray
    """(n, 2); of m4, which has no such ratios, (1, 0)."""
    weights: np.ndarray | None
    """(S, n); None where there is a node for each draw."""


def effect_nodes(block: GeneBlock, pairs: np.ndarray) -> EffectNodes:
    """Return nodes for draws with log ratios `pairs` (S, 2), tried on the most remote of them."""
    if not pairs.shape[1]:
        return EffectNodes(pairs[:1], np.ones((len(pairs), 1)))
    centre = pairs.mean(axis=0)
    covariance = np.cov(pairs.T) + np.diag(np.full(2, np.finfo(float).tiny))
    axes = np.linalg.cholesky(covariance)
    standard = np.linalg.solve(axes, (pairs - centre).T).T
    half_width = np.abs(standard).max() * 1.0000001
    in_box = standard / half_width
    remote = np.argsort(np.abs(in_box).max(axis=1))[-N_CHECKED:]
    truth = data_terms(block, pairs[remote])
    for degree in range(1, MOST_DEGREE + 1):
        if interpolation.n_nodes(2, degree) >= len(pairs):
            break
        at = centre + half_width * interpolation.nodes(2, degree) @ axes.T
        terms = data_terms(block, at)
        weights = interpolation.cardinal_weights(in_box[remote], degree)
        errors = [
            np.max(np.abs(np.einsum(spec, weights, many) - one)) / np.max(np.abs(one))
            for spec, many, one in (
                ("sn,ijng->ijsg", terms.gram, truth.gram),
                ("sn,ingc->isgc", terms.coupling, truth.coupling),
                ("sn,ing->isg", terms.score, truth.score),
            )
        ]
        if max(errors) <= TOLERANCE:
            return EffectNodes(at, interpolation.cardinal_weights(in_box, degree))
    return EffectNodes(pairs, None)

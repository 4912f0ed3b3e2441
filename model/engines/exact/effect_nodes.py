"""Nodes for the sums over the data when the effects of genes are drawn.

The sums of a block depend on only two of the variance ratios (m4_nested), or on none (m4). Draws
differ little in them, so that a few nodes suffice for all draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.engines.exact import interpolation
from model.engines.exact.blocks import GeneBlock, data_terms

MOST_DEGREE = 10
TOLERANCE = 1e-8
"""Largest relative error of an interpolated number."""
N_CHECKED = 8


@dataclass(frozen=True, eq=False)
class EffectNodes:
    """Pairs of log ratios for `data_terms`, and their weights for each of S draws."""

    at: np.ndarray
    """(n, 2); (1, 0) in m4, which has no such ratios."""
    weights: np.ndarray | None
    """(S, n); None with one node per draw."""


def effect_nodes(block: GeneBlock, pairs: np.ndarray) -> EffectNodes:
    """Return nodes for draws with log ratios `pairs` (S, 2), checked at the most remote draws."""
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

"""Integration over all gene effects, which leaves one small matrix per point.

Given the variance ratios, gene g's effects enter the log posterior through, in units of sigma,

    a'A a + 2 a'(B x - q) + x'D x - 2 h'x + s,    A = X'VX + P,  B = [X'V1, -P E],  q = X'Vm - P a0

with x = (gamma, means of the effects of genes), P the prior precisions, E the columns that assign
means to effects, and a0 the reference already subtracted. Integrating a out leaves

    [ D  h ]                                [ B' ]
    [ h' s ]   minus the sum over genes of  [ q' ] A^-1 [ B  q ]

and half of log|P| - log|A|. `collapse` returns these sums: the packed lower triangle, then the log
determinant. They are smooth in the logs of the ratios, and a sum over blocks, for
`model.engines.exact.marginal`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.engines.exact.batched_linalg import cholesky, solve_lower, solve_upper
from model.engines.exact.blocks import GeneBlock, data_terms
from model.engines.exact.effect_nodes import EffectNodes

AT_ONCE = 4_000_000
"""Numbers in the largest array of a pass at several points: 32 MB."""
DRAWS_AT_ONCE = 500_000
"""Numbers in the largest array while effects are drawn: 4 MB."""


def collapse(block: GeneBlock, log_ratios: np.ndarray) -> np.ndarray:
    """Return the packed sums of a block at points `log_ratios` (P, r), (P, M + 1).

    Ratios are in the order of `ModelSpec.ratio_sds`. M = n (n + 1) / 2 with n = C + q + 1, in the
    order of np.tril_indices: lines, the q means of the effects of genes, the right-hand side last.
    """
    n_genes, n_lines = block.shape
    n = n_lines + len(block.own) + 1
    per_point = max(block.n_effects * n_genes * n, n**2)
    step = max(1, AT_ONCE // per_point)
    return np.concatenate(
        [
            _collapse(block, log_ratios[start : start + step])
            for start in range(0, len(log_ratios), step)
        ]
    )


def _collapse(block: GeneBlock, log_ratios: np.ndarray) -> np.ndarray:
    terms = data_terms(block, pair_ratios(block, log_ratios))
    precision = prior_precisions(block, log_ratios)
    n_points, (n_genes, n_lines) = len(log_ratios), block.shape
    n, p = n_lines + len(block.own) + 1, block.n_effects

    lower = cholesky(_with_prior(terms.gram, precision))
    right = np.zeros((p, n_points, n_genes, n))
    right[..., :n_lines] = terms.coupling
    for effect in block.own:
        right[effect, ..., n_lines + effect] = -precision[effect][:, None]
    reference = block.reference[:, None]
    right[..., -1] = terms.score - precision[..., None] * reference
    half = solve_lower(lower[..., None], right)

    rows, columns = np.tril_indices(n)
    out = np.empty((n_points, len(rows) + 1))
    bordered = -_gram_of_rows(half)
    line = np.arange(n_lines)
    bordered[:, line, line] += terms.coupling[0].sum(axis=1)
    bordered[:, -1, :n_lines] += terms.line_score
    for effect in block.own:
        row = n_lines + effect
        bordered[:, row, row] += n_genes * precision[effect]
        bordered[:, -1, row] += precision[effect] * block.reference[effect].sum()
    bordered[:, -1, -1] += terms.square + precision.T @ (block.reference**2).sum(axis=1)
    out[:, :-1] = bordered[:, rows, columns]
    log_pivots = sum(np.log(lower[i, i]).sum(axis=-1) for i in range(p))
    out[:, -1] = terms.half_log_det - log_pivots + n_genes * 0.5 * np.log(precision).sum(axis=0)
    return out


def prior_precisions(block: GeneBlock, log_ratios: np.ndarray) -> np.ndarray:
    """Return the prior precision of each effect in units of sigma, (p, P)."""
    own = len(block.own)
    precision = np.exp(-2 * log_ratios[:, : own + 1]).T
    return np.concatenate([precision[:own], np.repeat(precision[own:], len(block.guides), axis=0)])


def pair_ratios(block: GeneBlock, log_ratios: np.ndarray) -> np.ndarray:
    """Return the ratios of the SDs of pairs, (P, 2), or (P, 0) in a model without them."""
    return log_ratios[:, len(block.own) + 1 :]


def _with_prior(gram: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return A (p, p, P, g)."""
    matrices = np.repeat(gram, precision.shape[1] // gram.shape[2], axis=2)
    for effect, one in enumerate(precision):
        matrices[effect, effect] += one[:, None]
    return matrices


def _gram_of_rows(half: np.ndarray) -> np.ndarray:
    """Return the sums over effects and genes of products of columns, (P, n, n)."""
    p, n_points, n_genes, n = half.shape
    if n_points == 1:
        rows = half.reshape(p * n_genes, n)
        return (rows.T @ rows)[None]
    stacked = half.transpose(1, 0, 2, 3).reshape(n_points, p * n_genes, n)
    return stacked.transpose(0, 2, 1) @ stacked


@dataclass(frozen=True, eq=False)
class SharedDraws:
    """S draws of the parameters shared by genes, or S points for means of gene effects."""

    log_ratios: np.ndarray
    """(S, r), in the order of `ModelSpec.ratio_sds`."""
    sigma: np.ndarray
    """SD of the noise (S,); 0 gives the mean of the gene effects."""
    gamma: np.ndarray
    """Line effects minus their reference (S, C)."""
    mu: np.ndarray
    """Means of the effects of genes (q, S)."""

    def part(self, which: slice) -> SharedDraws:
        """Return some of the draws."""
        return SharedDraws(
            self.log_ratios[which], self.sigma[which], self.gamma[which], self.mu[:, which]
        )


def gene_effects(
    block: GeneBlock, draws: SharedDraws, nodes: EffectNodes, seed: np.random.SeedSequence
) -> np.ndarray:
    """Return draws of the effects of a block's genes given the shared ones, (p, S, g).

    The reference is added.

    a | x ~ Normal(A^-1 (q - B x), sigma^2 A^-1)
    """
    p, n_genes, n_draws = block.n_effects, len(block.genes), len(draws.sigma)
    random = np.random.default_rng([*seed.generate_state(4), int(block.genes[0])])
    effects = np.empty((p, n_draws, n_genes))
    weights = nodes.weights
    at_once = block.columns[0].size if weights is None else p * n_genes
    step = max(1, DRAWS_AT_ONCE // (p * at_once))
    terms = None if weights is None else _terms_at_nodes(block, nodes.at)
    for start in range(0, n_draws, step):
        part = slice(start, start + step)
        some = draws.part(part)
        if terms is None or weights is None:
            gram, right = _at_each(block, some, nodes.at[part])
        else:
            gram, right = _interpolated(terms, some, weights[part])
        precision = prior_precisions(block, some.log_ratios)
        for effect, one in enumerate(precision):
            gram[effect, effect] += one[:, None]
        lower = cholesky(gram)
        right -= precision[..., None] * block.reference[:, None]
        for effect in block.own:
            right[effect] += (precision[effect] * some.mu[effect])[:, None]
        half = solve_lower(lower, right)
        if some.sigma.any():
            half += some.sigma[:, None] * random.standard_normal(half.shape)
        effects[:, part] = solve_upper(lower, half)
    effects += block.reference[:, None]
    return effects


def _at_each(
    block: GeneBlock, draws: SharedDraws, nodes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return X'VX (p, p, S, g) and X'V(m - gamma) (p, S, g), with one node per draw."""
    terms = data_terms(block, nodes)
    coupled = np.einsum("ipgc,pc->ipg", terms.coupling, draws.gamma)
    return terms.gram.copy(), terms.score - coupled


def _terms_at_nodes(
    block: GeneBlock, nodes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X'VX (p, p, n, g), X'V1 (p, n C, g) and X'Vm (p, n, g) at n nodes."""
    terms = [data_terms(block, node[None]) for node in nodes]
    coupling = np.concatenate([one.coupling for one in terms], axis=1)
    p, n_nodes, n_genes, n_lines = coupling.shape
    return (
        np.concatenate([one.gram for one in terms], axis=2),
        coupling.transpose(0, 1, 3, 2).reshape(p, n_nodes * n_lines, n_genes),
        np.concatenate([one.score for one in terms], axis=1),
    )


def _interpolated(
    terms: tuple[np.ndarray, np.ndarray, np.ndarray], draws: SharedDraws, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return `_at_each` interpolated from nodes, with the lower triangles of X'VX only."""
    gram_at, coupling_at, score_at = terms
    p, _, n_genes = score_at.shape
    gram = np.empty((p, p, len(weights), n_genes))
    for i in range(p):
        for j in range(i + 1):
            gram[i, j] = weights @ gram_at[i, j]
    weighted = (weights[:, :, None] * draws.gamma[:, None]).reshape(len(weights), -1)
    return gram, weights @ score_at - weighted @ coupling_at

"""A screen with all gene effects integrated out: what is left is one small matrix a point.

Given the variance ratios, gene g's effects enter the log posterior through, in units of sigma,

    a'A a + 2 a'(B x - q) + x'D x - 2 h'x + s,    A = X'VX + P,  B = [X'V1, -P E],  q = X'Vm - P a0

with x = (gamma, mu_alpha, mu_beta), P the prior precisions, E the columns that say which effect has
which mean, and a0 the reference already taken off. Integrating a out leaves (DESIGN 6)

    [ D  h ]                               [ B' ]
    [ h' s ]   less the sum over genes of  [ q' ] A^-1 [ B  q ]

and half of log|P| - log|A|. These sums, the lower triangle packed and the log determinant behind it,
are `collapse`. They are smooth in the logs of the ratios, and a sum over blocks. What becomes of
them is `model.exact.marginal`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.exact.blocks import DataTerms, GeneBlock, data_terms
from model.exact.effect_nodes import EffectNodes
from model.exact.stacked import cholesky, solve_lower, solve_upper

RATIOS = ("sigma_alpha", "sigma_beta", "sigma_guide", "sigma_gene_line", "sigma_guide_line")
"""What the columns of `log_ratios` are over sigma; m4 has the first two."""
AT_ONCE = 4_000_000
"""Numbers in the largest array of a pass at several points: 32 MB."""


def collapse(block: GeneBlock, log_ratios: np.ndarray) -> np.ndarray:
    """Return the packed sums of a block at points `log_ratios` (P, 2 or 5), (P, M + 1).

    M = n (n + 1) / 2 with n = C + 3, in the order of np.tril_indices: lines, mu_alpha, mu_beta, and
    the right-hand side last.
    """
    n_genes, n_lines = block.rna.shape
    per_point = max(block.n_effects * n_genes * (n_lines + 3), (n_lines + 3) ** 2)
    step = max(1, AT_ONCE // per_point)
    return np.concatenate(
        [
            _collapse(block, log_ratios[start : start + step])
            for start in range(0, len(log_ratios), step)
        ]
    )


def _collapse(block: GeneBlock, log_ratios: np.ndarray) -> np.ndarray:
    terms = data_terms(block, log_ratios[:, 3:])
    precision = prior_precisions(block, log_ratios)
    n_points, (n_genes, n_lines) = len(log_ratios), block.rna.shape
    n, p = n_lines + 3, block.n_effects

    lower = cholesky(_with_prior(terms.gram, precision))
    right = np.zeros((p, n_points, n_genes, n))
    right[..., :n_lines] = terms.coupling
    for effect in (0, 1):
        right[effect, ..., n_lines + effect] = -precision[effect][:, None]
    reference = block.reference[:, None]
    right[..., -1] = terms.score - precision[..., None] * reference
    half = solve_lower(lower[..., None], right)

    out = np.empty((n_points, n * (n + 1) // 2 + 1))
    rows, columns = np.tril_indices(n)
    bordered = -_gram_of_rows(half)
    line = np.arange(n_lines)
    bordered[:, line, line] += terms.coupling[0].sum(axis=1)
    bordered[:, -1, :n_lines] += terms.line_score
    for effect in (0, 1):
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
    precision = np.exp(-2 * log_ratios[:, :3]).T
    return np.concatenate([precision[:2], np.repeat(precision[2:], len(block.guides), axis=0)])


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
class CommonDraws:
    """S draws of what the genes share, or S points at which their mean is wanted."""

    log_ratios: np.ndarray
    """(S, 2 or 5)."""
    sigma: np.ndarray
    """SD of the noise (S,); 0 asks for the mean of the gene effects."""
    gamma: np.ndarray
    """Line effects less their reference (S, C)."""
    mu: np.ndarray
    """mu_alpha and mu_beta (2, S)."""


def gene_effects(
    block: GeneBlock, draws: CommonDraws, nodes: EffectNodes, seed: np.random.SeedSequence
) -> np.ndarray:
    """Draw the effects of a block's genes given what they share, (p, S, g), the reference added.

    a | x ~ Normal(A^-1 (q - B x), sigma^2 A^-1)
    """
    if nodes.weights is None:
        gram, right = _at_each(block, draws, nodes.at)
    else:
        gram, right = _interpolated(block, draws, nodes.at, nodes.weights)
    precision = prior_precisions(block, draws.log_ratios)
    lower = cholesky(_with_prior(gram, precision))
    right -= precision[..., None] * block.reference[:, None]
    for effect in (0, 1):
        right[effect] += (precision[effect] * draws.mu[effect])[:, None]
    half = solve_lower(lower, right)
    if draws.sigma.any():
        mine = np.random.SeedSequence([*seed.generate_state(4), int(block.genes[0])])
        noise = np.random.default_rng(mine).standard_normal(half.shape)
        noise *= draws.sigma[:, None]
        half += noise
    effects = solve_upper(lower, half)
    effects += block.reference[:, None]
    return effects


def _at_each(
    block: GeneBlock, draws: CommonDraws, nodes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    grams, rights = [], []
    for terms, part in _terms_by_step(block, nodes):
        coupled = np.einsum("ipgc,pc->ipg", terms.coupling, draws.gamma[part], optimize=True)
        grams.append(np.broadcast_to(terms.gram, (*terms.gram.shape[:2], *coupled.shape[1:])))
        rights.append(terms.score - coupled)
    return np.concatenate(grams, axis=2), np.concatenate(rights, axis=1)


def _terms_by_step(block: GeneBlock, nodes: np.ndarray) -> Iterator[tuple[DataTerms, slice]]:
    step = max(1, AT_ONCE // (block.n_effects * block.rna.size))
    for start in range(0, len(nodes), step):
        part = slice(start, start + step)
        yield data_terms(block, nodes[part]), part


def _interpolated(
    block: GeneBlock, draws: CommonDraws, nodes: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    p, n_genes, n_draws = block.n_effects, len(block.genes), len(draws.sigma)
    gram = np.zeros((p, p, n_draws, n_genes))
    right = np.zeros((p, n_draws, n_genes))
    for node, weight in zip(nodes, weights.T, strict=True):
        terms = data_terms(block, node[None])
        gram += weight[:, None] * terms.gram
        coupled = draws.gamma @ terms.coupling[:, 0].transpose(0, 2, 1)
        right += weight[:, None] * (terms.score - coupled)
    return gram, right

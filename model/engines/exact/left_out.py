"""The collapsed screen without some of its lines, given the standard deviations.

Lines enter `collapse` as sums over lines (`by_line`). With sums over the kept lines,

    A_g = sum over kept lines of X'VX + P,   B_g and q_g likewise,

the density of the kept measurements and the normal distribution of every beta given them are those
of a fit without the other lines: exact, without a refit. RNA stays in the SDs of all lines.
`model.effects.leave_groups_out` averages over the standard deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from model.engines.exact.batched_linalg import cholesky, solve_lower
from model.engines.exact.blocks import GeneBlock
from model.engines.exact.by_line import LineTerms
from model.engines.exact.collapse import prior_precisions
from model.engines.exact.marginal import Marginal


@dataclass(frozen=True, eq=False)
class ByLine:
    """Data of each line for the density that are not in the blocks."""

    n_measurements: np.ndarray
    """(C,)"""
    within_ss: np.ndarray
    """Sum of squares within units (C,)."""


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Results without each of O groups of lines, at one point."""

    log_likelihood: np.ndarray
    """Log density of the kept measurements given the SDs (O,), natural log."""
    log_density: np.ndarray
    """Log posterior density of the logs of the SDs without the group, not normalised (O,)."""
    beta: np.ndarray
    """Mean of each beta given the SDs and the kept measurements (O, G)."""
    beta_sd: np.ndarray
    """SD of each beta given the same (O, G)."""


def left_out(
    blocks: Sequence[GeneBlock],
    terms: Sequence[LineTerms],
    marginal: Marginal,
    by_line: ByLine,
    theta: np.ndarray,
    groups: np.ndarray,
) -> LeftOut:
    """Return the results without each group of lines, `groups` (O, C) bool, at theta (d,)."""
    kept = (~groups).astype(np.float64)
    ratios = (marginal.to_ratios() @ theta)[None]
    n_groups, n_lines = groups.shape
    beta_at, n_shared = marginal.spec.rna_column, n_lines + marginal.n_gene_means
    n = n_shared + 1
    bordered = np.zeros((n_groups, n, n))
    log_det = np.zeros(n_groups)
    n_genes = sum(len(block.genes) for block in blocks)
    slope = np.empty((n_groups, n_genes, n))
    """Row of beta in A^-1 [B q] (O, G, n)."""
    variance = np.empty((n_groups, n_genes))
    """Entry of beta in A^-1 (O, G)."""
    reference = np.empty(n_genes)

    for block, of_block in zip(blocks, terms, strict=True):
        precision = prior_precisions(block, ratios)[:, 0]
        lower, half = _halves(block, of_block, precision, kept)
        rows = half.transpose(1, 0, 2, 3).reshape(n_groups, -1, n)
        bordered -= rows.transpose(0, 2, 1) @ rows
        _add_data(bordered, block, of_block, precision, kept)
        log_det += kept @ of_block.half_log_det
        log_det -= sum(np.log(lower[i, i]).sum(axis=-1) for i in range(block.n_effects))
        log_det += len(block.genes) * 0.5 * np.log(precision).sum()

        unit = np.zeros(half.shape[:3])
        unit[beta_at] = 1
        row = solve_lower(lower, unit)
        slope[:, block.genes] = np.einsum("pog,pogn->ogn", row, half)
        variance[:, block.genes] = (row**2).sum(axis=0)
        reference[block.genes] = block.reference[beta_at]

    rows_of, columns_of = np.tril_indices(n)
    sums = np.concatenate([bordered[:, rows_of, columns_of], log_det[:, None]], axis=1)
    own = replace(
        marginal,
        n_measurements=kept @ by_line.n_measurements,
        within_ss=kept @ by_line.within_ss,
    )
    points = np.repeat(theta[None], n_groups, axis=0)
    factored = own.factored(points, sums)
    common = own.draw_common(factored, points, None)
    beta = slope[..., -1] + reference
    beta -= np.einsum("ogn,on->og", slope[..., :n_shared], common[:, :n_shared])
    # The mean of the lines is last and is not coupled to the genes.
    slope[..., -1] = 0
    n_common = common.shape[1]
    for group, lower in enumerate(factored.lower):
        factor, of_common = lower[:n_common, :n_common], slope[group, :, :n_common].T
        spread = solve_triangular(factor, of_common, lower=True, check_finite=False)
        variance[group] += np.einsum("ng,ng->g", spread, spread)
    beta_sd = marginal.sigma(theta) * np.sqrt(variance)
    return LeftOut(factored.log_likelihood, factored.log_density, beta, beta_sd)


def _halves(
    block: GeneBlock, terms: LineTerms, precision: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors L of A (p, p, O, g) and L^-1 [B q] (p, O, g, n)."""
    n_groups, n_lines = kept.shape
    p, n_genes = block.n_effects, len(block.genes)
    matrices = np.moveaxis(terms.gram @ kept.T, -1, -2).copy()
    for effect in range(p):
        matrices[effect, effect] += precision[effect]
    lower = cholesky(matrices)
    right = np.zeros((p, n_groups, n_genes, n_lines + len(block.own) + 1))
    np.multiply(terms.coupling[:, None], kept[:, None], out=right[..., :n_lines])
    for effect in block.own:
        right[effect, ..., n_lines + effect] = -precision[effect]
    right[..., -1] = np.moveaxis(terms.score @ kept.T, -1, -2)
    right[..., -1] -= (precision[:, None] * block.reference)[:, None]
    return lower, solve_lower(lower[..., None], right)


def _add_data(
    bordered: np.ndarray,
    block: GeneBlock,
    terms: LineTerms,
    precision: np.ndarray,
    kept: np.ndarray,
) -> None:
    """Add D, h and s of a block, as in `collapse`."""
    n_lines, n_genes = kept.shape[1], len(block.genes)
    line = np.arange(n_lines)
    bordered[:, line, line] += kept * terms.coupling[0].sum(axis=0)
    bordered[:, -1, :n_lines] += kept * terms.line_score
    for effect in block.own:
        row = n_lines + effect
        bordered[:, row, row] += n_genes * precision[effect]
        bordered[:, -1, row] += precision[effect] * block.reference[effect].sum()
    bordered[:, -1, -1] += kept @ terms.square + precision @ (block.reference**2).sum(axis=1)

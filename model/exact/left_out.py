"""A collapsed screen with some of its lines left out, given the standard deviations.

All that lines tell enters `collapse` as sums over lines (`by_line`). With sums over those kept,

    A_g = sum over kept lines of X'VX + P,   B_g and q_g alike,

the density of the kept measurements and the normal distribution of every beta given them are those
of a fit that never saw the others: exact, without a refit. RNA stays in the SDs of all lines.
Over standard deviations is averaged in `model.left_out`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from model.exact.blocks import GeneBlock
from model.exact.by_line import LineTerms
from model.exact.collapse import prior_precisions
from model.exact.marginal import Marginal
from model.exact.stacked import cholesky, solve_lower

BETA = 1
"""Where beta stands among the effects of a gene."""


@dataclass(frozen=True, eq=False)
class ByLine:
    """What the density of a screen needs to know of each line apart from the blocks."""

    n_measurements: np.ndarray
    """(C,)"""
    within_ss: np.ndarray
    """Sum of squares within units (C,)."""


@dataclass(frozen=True, eq=False)
class LeftOut:
    """The screen without each of O groups of lines, at one point."""

    log_likelihood: np.ndarray
    """Log density of the measurements that are kept, given the SDs (O,), natural log."""
    log_density: np.ndarray
    """The same and the prior of the logs of the SDs: their posterior density without the group,
    not normalised (O,)."""
    beta: np.ndarray
    """Mean of each beta given the SDs and what is kept (O, G)."""
    beta_sd: np.ndarray
    """Its SD given the same (O, G)."""


def left_out(
    blocks: Sequence[GeneBlock],
    terms: Sequence[LineTerms],
    marginal: Marginal,
    by_line: ByLine,
    theta: np.ndarray,
    groups: np.ndarray,
) -> LeftOut:
    """Return the screen without each group of lines, `groups` (O, C) bool, at theta (d,)."""
    kept = (~groups).astype(np.float64)
    ratios = (marginal.to_ratios() @ theta)[None]
    n_groups, n_lines = groups.shape
    n = n_lines + 3
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
        unit[BETA] = 1
        row = solve_lower(lower, unit)
        slope[:, block.genes] = np.einsum("pog,pogn->ogn", row, half)
        variance[:, block.genes] = (row**2).sum(axis=0)
        reference[block.genes] = block.reference[BETA]

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
    beta -= np.einsum("ogn,on->og", slope[..., : n_lines + 2], common[:, : n_lines + 2])
    # mu_gamma stands behind the others and does not touch the genes.
    slope[..., -1] = 0
    n_common = common.shape[1]
    for group, lower in enumerate(factored.lower):
        factor, of_common = lower[:n_common, :n_common], slope[group, :, :n_common].T
        spread = solve_triangular(factor, of_common, lower=True, check_finite=False)
        variance[group] += np.einsum("ng,ng->g", spread, spread)
    sigma = np.exp(theta[marginal.hyperparameters.index("sigma")])
    return LeftOut(factored.log_likelihood, factored.log_density, beta, sigma * np.sqrt(variance))


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
    right = np.zeros((p, n_groups, n_genes, n_lines + 3))
    np.multiply(terms.coupling[:, None], kept[:, None], out=right[..., :n_lines])
    for effect in (0, 1):
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
    for effect in (0, 1):
        row = n_lines + effect
        bordered[:, row, row] += n_genes * precision[effect]
        bordered[:, -1, row] += precision[effect] * block.reference[effect].sum()
    bordered[:, -1, -1] += kept @ terms.square + precision @ (block.reference**2).sum(axis=1)

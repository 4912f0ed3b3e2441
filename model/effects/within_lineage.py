"""A screen reduced to variation within lineages, to separate effects from markers of a lineage.

RNA and dependency may both follow the lineage of a line without one driving the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.effects.leave_groups_out import LeaveOutProblem
from model.engines.exact.blocks import GeneBlock


@dataclass(frozen=True, eq=False)
class WithinLineages:
    """Slopes within lineages, (G,)."""

    mean: np.ndarray
    sd: np.ndarray
    rna_left: np.ndarray
    """Share of the variance of RNA that is within lineages."""
    prob_left: np.ndarray
    """P(the slope, in the direction of the whole one, is more than a share of it)."""


def strata(lineage: Sequence[str]) -> np.ndarray:
    """Return the stratum of each line, one-hot (C, L); each unknown lineage is its own stratum."""
    labels = [name or f"\0{line}" for line, name in enumerate(lineage)]
    codes = np.unique(labels, return_inverse=True)[1]
    return np.eye(codes.max() + 1)[codes]


def within_lineages(
    screen: LeaveOutProblem, lineage: Sequence[str]
) -> tuple[LeaveOutProblem, np.ndarray]:
    """Return the screen with RNA minus its mean by gene and lineage, and the share left (G,).

        r_gc - sum over c' of the lineage u_gc' r_gc' / sum u_gc',   u = 1'V1
        (`model.engines.exact.blocks`)

    still in the SDs of all lines. With these weights the deviations are orthogonal to anything that
    is constant for a gene in all lines of a lineage: the slope is that within lineages, as with a
    separate effect for every gene and lineage (Frisch and Waugh 1933), without more effects.
    Differences of log fold change between lineages remain in the scatter of the lines, which makes
    the interval wider rather than narrower. The share left is that of the variance of RNA.
    """
    member, column = strata(lineage), screen.marginal.spec.rna_column
    blocks, left = [], np.empty(sum(len(block.genes) for block in screen.blocks))
    for block, terms in zip(screen.blocks, screen.terms(screen.proposal.location), strict=True):
        within, left[block.genes] = rna_within(block.columns[column], terms.coupling[0], member)
        blocks.append(_with_rna(block, column, within))
    return replace(screen, blocks=blocks), left


def rna_within(
    rna: np.ndarray, weight: np.ndarray, member: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return RNA minus its weighted mean by gene and stratum, and the share of variance left.

    `rna` and `weight` are (g, C), `member` (C, L); (g, C) and (g,). Without measurements 0.
    """
    within = _centred(rna, weight, member)
    overall = _centred(rna, weight, np.ones((member.shape[0], 1)))
    return within, (weight * within**2).sum(axis=1) / (weight * overall**2).sum(axis=1)


def _centred(rna: np.ndarray, weight: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Subtract the weighted mean of each stratum; 0 where nothing is measured (g, C)."""
    total = weight @ member
    mean = np.divide((weight * rna) @ member, total, out=np.zeros_like(total), where=total > 0)
    return np.where(weight > 0, rna - mean @ member.T, 0.0)


def _with_rna(block: GeneBlock, column: int, rna: np.ndarray) -> GeneBlock:
    """Return a block with other RNA, its means without subtraction of the reference slope."""
    subtracted = block.reference[column][:, None] * block.columns[column]
    reference, columns = block.reference.copy(), block.columns.copy()
    reference[column], columns[column] = 0, rna
    mean = np.where(block.count > 0, block.mean + subtracted, 0.0)
    return replace(block, mean=mean, columns=columns, reference=reference)

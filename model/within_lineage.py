"""A screen seen within lineages only: does a gene's effect survive there, or mark a lineage?

RNA may follow the lineage a line comes from, and the dependency too, without the one driving the
other. What is left out and what it says of genes is `model.influence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.exact.blocks import GeneBlock
from model.left_out import Integrable


def strata(lineage: Sequence[str]) -> np.ndarray:
    """Return which stratum each line belongs to, one-hot (C, L); of unknown lineage, its own."""
    labels = [name or f"\0{line}" for line, name in enumerate(lineage)]
    codes = np.unique(labels, return_inverse=True)[1]
    return np.eye(codes.max() + 1)[codes]


def within_lineages(screen: Integrable, lineage: Sequence[str]) -> tuple[Integrable, np.ndarray]:
    """Return the screen with RNA less its mean by gene and lineage, and what is left of RNA (G,).

        r_gc - sum over c' of the lineage u_gc' r_gc' / sum u_gc',   u = 1'V1 (`model.exact.blocks`)

    still in the SDs of all lines. Weighed so, the deviations are orthogonal to whatever is the same
    for a gene in all lines of a lineage: its slope is that within lineages, as with an effect of
    its own for every gene and lineage (Frisch and Waugh 1933), at no more effects than before. What
    the lineages differ by in log fold change stays where it was, in the scatter of the lines: the
    interval is wider rather than narrower. What is left of RNA is a share of its variance.
    """
    member = strata(lineage)
    blocks, left = [], np.empty(sum(len(block.genes) for block in screen.blocks))
    for block, terms in zip(screen.blocks, screen.terms(screen.proposal.location), strict=True):
        weight = terms.coupling[0]
        within = _centred(block.rna, weight, member)
        overall = _centred(block.rna, weight, np.ones((member.shape[0], 1)))
        left[block.genes] = (weight * within**2).sum(axis=1) / (weight * overall**2).sum(axis=1)
        blocks.append(_with_rna(block, within))
    return replace(screen, blocks=blocks), left


def _centred(rna: np.ndarray, weight: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Take the weighted mean of each stratum off; 0 where nothing is measured (g, C)."""
    total = weight @ member
    mean = np.divide((weight * rna) @ member, total, out=np.zeros_like(total), where=total > 0)
    return np.where(weight > 0, rna - mean @ member.T, 0.0)


def _with_rna(block: GeneBlock, rna: np.ndarray) -> GeneBlock:
    """Return a block with other RNA, its means as if no slope had been taken off them."""
    taken_off = block.reference[1][:, None] * block.rna
    reference = block.reference.copy()
    reference[1] = 0
    mean = np.where(block.count > 0, block.mean + taken_off, 0.0)
    return replace(block, rna=rna, mean=mean, reference=reference)

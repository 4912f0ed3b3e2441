"""A screen cut into blocks of genes, and what a block tells of its genes' effects.

For gene g with effects a_g = (alpha_g, beta_g, delta_k of its guides k) and line effects gamma, the
mean m of the n measurements of a unit (m4: a gene-line cell; m4_nested: a guide-line cell) is

    m = X a_g + gamma_c + eps_gc + zeta_kc + noise / sqrt(n),  X's rows: (1, rna_gc, [guide is k])

In units of sigma let a = (sigma_guide_line / sigma)^2 and b = (sigma_gene_line / sigma)^2 (both 0
in m4). With zeta and eps integrated out, the precision of the units of one cell is

    V = diag(w) - b s w w',   w_k = n_k / (1 + a n_k),   W = sum_k w_k,   s = 1 / (1 + b W)

(Sherman and Morrison), and u = 1'V1 = W s. How blocks become one density is `model.exact.collapse`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from model.design import ScreenDesign

BLOCK_SIZE = 2_000_000
"""Numbers in the largest array of a pass over a block: 16 MB."""


@dataclass(frozen=True, eq=False)
class GeneBlock:
    """g genes of K units a line, with p = 2 effects (m4) or p = 2 + K (m4_nested), in C lines."""

    genes: np.ndarray
    """Index of each gene in the design (g,)."""
    guides: np.ndarray
    """Index of each guide in the design (K, g); (0, g) in m4, whose units are cells."""
    count: np.ndarray
    """Measurements of each unit (K, g, C), float64, 0 where there are none."""
    mean: np.ndarray
    """Mean of each unit less what `reference` and the reference of gamma make of it (K, g, C)."""
    rna: np.ndarray
    """RNA covariate (g, C), SD; 0 where there are no measurements."""
    reference: np.ndarray
    """Effects already taken off `mean` (p, g): a sum of squares of residuals loses no digits."""

    @property
    def n_effects(self) -> int:
        """Effects of a gene, p."""
        return len(self.reference)


@dataclass(frozen=True, eq=False)
class DataTerms:
    """What the data say at P pairs of variance ratios, in units of sigma; P is 1 in m4."""

    gram: np.ndarray
    """X'VX (p, p, P, g)."""
    coupling: np.ndarray
    """X'V1 by line: how the gene's effects go with gamma (p, P, g, C)."""
    score: np.ndarray
    """X'Vm (p, P, g)."""
    line_score: np.ndarray
    """1'Vm by line, summed over the genes (P, C)."""
    square: np.ndarray
    """m'Vm, summed (P,)."""
    half_log_det: np.ndarray
    """Half the log determinant of V less that of diag(n), summed (P,)."""


def cut(design: ScreenDesign, *, nested: bool) -> list[GeneBlock]:
    """Return the blocks of a screen; the genes of a block have equally many units a line."""
    first = design.first_guide
    n_units = np.diff(first, append=len(design.guides)) if nested else np.ones(len(first), int)
    return [
        block
        for k in np.unique(n_units)
        for genes in _pieces(np.flatnonzero(n_units == k), k, len(design.cell_lines))
        for block in [_block(design, genes, k if nested else 0)]
    ]


def _pieces(genes: np.ndarray, n_units: int, n_lines: int) -> Iterator[np.ndarray]:
    most = max(1, BLOCK_SIZE // ((n_units + 2) * n_lines))
    return iter(np.array_split(genes, -(-len(genes) // most)))


def _block(design: ScreenDesign, genes: np.ndarray, n_guides: int) -> GeneBlock:
    if n_guides:
        guides = design.first_guide[genes] + np.arange(n_guides)[:, None]
        count = design.count[guides].astype(np.float64)
        total = design.total[guides]
    else:
        guides = np.empty((0, len(genes)), int)
        count = design.gene_count[genes][None]
        total = design.gene_total[genes][None]
    measured = count.any(axis=0)
    return GeneBlock(
        genes=genes,
        guides=guides,
        count=count,
        mean=np.divide(total, count, out=np.zeros_like(total), where=count > 0),
        rna=np.where(measured, design.rna[genes], 0.0),
        reference=np.zeros((2 + n_guides, len(genes))),
    )


def recentred(block: GeneBlock, effects: np.ndarray, gamma: np.ndarray) -> GeneBlock:
    """Take gene effects (p, g) and line effects (C,) off the means; where there are data."""
    fitted = effects[0][:, None] + effects[1][:, None] * block.rna + gamma
    mean = block.mean - fitted
    if len(block.guides):
        mean -= effects[2:, :, None]
    mean[block.count == 0] = 0
    return replace(block, mean=mean, reference=block.reference + effects)


def squares(block: GeneBlock) -> float:
    """Return the sum over units of n m^2: what is left of the squares between units."""
    return float(np.einsum("kgc,kgc,kgc->", block.count, block.mean, block.mean))


def data_terms(block: GeneBlock, log_ratios: np.ndarray) -> DataTerms:
    """Return what the data of a block say at P points.

    `log_ratios` (P, 2) are log(sigma_gene_line / sigma) and log(sigma_guide_line / sigma); not read
    in m4.
    """
    if not len(block.guides):
        return _plain_terms(block)
    b, a = (np.exp(2 * log_ratios[:, [j], None]) for j in (0, 1))
    count, mean, rna = block.count[:, None], block.mean[:, None], block.rna
    spread = 1 + a * count
    w = count / spread
    weight = w.sum(axis=0)
    s = 1 / (1 + b * weight)
    wm = w * mean
    total = wm.sum(axis=0)
    u = weight * s

    n_points, n_genes = len(log_ratios), len(block.genes)
    gram = np.empty((block.n_effects, block.n_effects, n_points, n_genes))
    coupling = np.empty((block.n_effects, *u.shape))
    score = np.empty((block.n_effects, n_points, n_genes))
    shrunk = total * s
    coupling[0] = u
    np.multiply(u, rna, out=coupling[1])
    score[0] = shrunk.sum(axis=-1)
    score[1] = _over_lines(shrunk, rna)
    gram[0, 0] = u.sum(axis=-1)
    gram[1, 0] = gram[0, 1] = _over_lines(u, rna)
    gram[1, 1] = _over_lines(coupling[1], rna)
    b_s = b * s
    for k in range(len(w)):
        np.multiply(w[k], s, out=coupling[2 + k])
        score[2 + k] = (wm[k] - b_s * w[k] * total).sum(axis=-1)
        gram[2 + k, 0] = gram[0, 2 + k] = coupling[2 + k].sum(axis=-1)
        gram[2 + k, 1] = gram[1, 2 + k] = _over_lines(coupling[2 + k], rna)
        scaled = b_s * w[k]
        for j in range(k + 1):
            gram[2 + k, 2 + j] = gram[2 + j, 2 + k] = -_over_lines(scaled, w[j])
        gram[2 + k, 2 + k] += w[k].sum(axis=-1)
    return DataTerms(
        gram=gram,
        coupling=coupling,
        score=score,
        line_score=shrunk.sum(axis=1),
        square=np.einsum("kpgc,kpgc->p", wm, np.broadcast_to(mean, wm.shape))
        - np.einsum("pgc,pgc->p", b_s * total, total),
        half_log_det=-0.5 * (np.log(spread).sum(axis=(0, 2, 3)) - np.log(s).sum(axis=(1, 2))),
    )


def _plain_terms(block: GeneBlock) -> DataTerms:
    n, mean, r = block.count[0], block.mean[0], block.rna
    nr, nm = n * r, n * mean
    gram = np.array([[n.sum(axis=1), nr.sum(axis=1)], [nr.sum(axis=1), _over_lines(nr, r)]])
    return DataTerms(
        gram=gram[:, :, None],
        coupling=np.stack([n, nr])[:, None],
        score=np.stack([nm.sum(axis=1), _over_lines(nm, r)])[:, None],
        line_score=nm.sum(axis=0)[None],
        square=np.array([np.vdot(nm, mean)]),
        half_log_det=np.zeros(1),
    )


def _over_lines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sum of products over the lines."""
    return np.einsum("...c,...c->...", left, right)

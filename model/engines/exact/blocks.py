"""Blocks of genes of a screen, and the sums over the data of a block for the density.

For gene g with effects a_g (alpha_g, its slopes, delta_k of its guides k) and line effects gamma,
the mean m of the n measurements of a unit (a gene-line pair; where guides differ, a guide-line
pair) is

    m = X a_g + gamma_c + eps_gc + zeta_kc + noise / sqrt(n),  X's rows: (1, rna_gc, [guide is k])

The precision V of the units of one gene-line pair is that of `model.likelihood.cell_covariance`,
and u = 1'V1 = W s. `model.engines.exact.collapse` uses these sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from model.likelihood.cell_covariance import pair_precision
from model.likelihood.linear_predictor import gene_columns
from model.screen.design import ScreenDesign
from schemas.model_spec import ModelSpec

BLOCK_SIZE = 2_000_000
"""Numbers in the largest array of a pass over a block: 16 MB."""


@dataclass(frozen=True, eq=False)
class GeneBlock:
    """g genes of K units per line, in C lines; p = q effects, or q + K with guide effects."""

    genes: np.ndarray
    """Index of each gene in the design (g,)."""
    guides: np.ndarray
    """Index of each guide in the design (K, g); (0, g) where the units are gene-line pairs."""
    count: np.ndarray
    """Number of measurements of each unit (K, g, C), float64."""
    mean: np.ndarray
    """Mean of each unit minus its expectation at the references of effects and gamma (K, g, C)."""
    columns: np.ndarray
    """Columns of the design matrix of the q effects of a gene (q, g, C): 1, then covariates; 0
    without measurements."""
    reference: np.ndarray
    """Effects already subtracted from `mean` (p, g), so that sums of squares keep their digits."""

    @property
    def n_effects(self) -> int:
        """Number of effects of a gene and its guides, p."""
        return len(self.reference)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of genes and of lines."""
        return self.columns.shape[1], self.columns.shape[2]

    @property
    def own(self) -> range:
        """Positions of the effects of a gene itself among its p effects; its guides follow."""
        return range(len(self.columns))


@dataclass(frozen=True, eq=False)
class DataTerms:
    """Sums over the data at P points, in units of sigma; P is 1 in a model without pair SDs."""

    gram: np.ndarray
    """X'VX (p, p, P, g)."""
    coupling: np.ndarray
    """X'V1 by line, the coupling of the gene's effects with gamma (p, P, g, C)."""
    score: np.ndarray
    """X'Vm (p, P, g)."""
    line_score: np.ndarray
    """1'Vm by line, summed over the genes (P, C)."""
    square: np.ndarray
    """m'Vm, summed (P,)."""
    half_log_det: np.ndarray
    """Half the log determinant of V minus that of diag(n), summed (P,)."""


def make_blocks(spec: ModelSpec, design: ScreenDesign) -> list[GeneBlock]:
    """Return the blocks of a screen; genes of a block have the same number of units per line."""
    first, by_guide = design.first_guide, spec.by_guide
    n_units = np.diff(first, append=len(design.guides)) if by_guide else np.ones(len(first), int)
    return [
        block
        for k in np.unique(n_units)
        for genes in _pieces(np.flatnonzero(n_units == k), k, len(design.cell_lines))
        for block in [_block(spec, design, genes, k if by_guide else 0)]
    ]


def _pieces(genes: np.ndarray, n_units: int, n_lines: int) -> Iterator[np.ndarray]:
    most = max(1, BLOCK_SIZE // ((n_units + 2) * n_lines))
    return iter(np.array_split(genes, -(-len(genes) // most)))


def _block(spec: ModelSpec, design: ScreenDesign, genes: np.ndarray, n_guides: int) -> GeneBlock:
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
        columns=np.where(measured, gene_columns(spec, design, genes), 0.0),
        reference=np.zeros((len(spec.gene_effects) + n_guides, len(genes))),
    )


def subtract_effects(block: GeneBlock, effects: np.ndarray, gamma: np.ndarray) -> GeneBlock:
    """Return the block with gene effects (p, g) and line effects (C,) subtracted from the means."""
    fitted = sum(effects[at][:, None] * block.columns[at] for at in block.own) + gamma
    mean = block.mean - fitted
    if len(block.guides):
        mean -= effects[len(block.own) :, :, None]
    mean[block.count == 0] = 0
    return replace(block, mean=mean, reference=block.reference + effects)


def squares(block: GeneBlock) -> float:
    """Return the sum over units of n m^2, the remaining squares between units."""
    return float(np.einsum("kgc,kgc,kgc->", block.count, block.mean, block.mean))


def data_terms(block: GeneBlock, log_ratios: np.ndarray) -> DataTerms:
    """Return the sums of a block at P points.

    `log_ratios` (P, 2) are the logs of the SDs of gene-line and of guide-line pairs over sigma;
    ignored in a model without them.
    """
    if not len(block.guides):
        return _plain_terms(block)
    b, a = (np.exp(2 * log_ratios[:, [j], None]) for j in (0, 1))
    count, mean, columns = block.count[:, None], block.mean[:, None], block.columns
    pairs = pair_precision(count, a, b, lambda units: units.sum(axis=0))
    w, s = pairs.w, pairs.s
    wm = w * mean
    total = wm.sum(axis=0)
    u = pairs.weight * s

    n_points, n_genes = len(log_ratios), len(block.genes)
    gram = np.empty((block.n_effects, block.n_effects, n_points, n_genes))
    coupling = np.empty((block.n_effects, *u.shape))
    score = np.empty((block.n_effects, n_points, n_genes))
    shrunk = total * s
    for at in block.own:
        np.multiply(u, columns[at], out=coupling[at])
        score[at] = _projected(shrunk, columns, at)
        for other in range(at + 1):
            gram[at, other] = gram[other, at] = _projected(coupling[other], columns, at)
    b_s = b * s
    first = len(block.own)
    for k in range(len(w)):
        guide = first + k
        np.multiply(w[k], s, out=coupling[guide])
        score[guide] = (wm[k] - b_s * w[k] * total).sum(axis=-1)
        for at in block.own:
            gram[guide, at] = gram[at, guide] = _projected(coupling[guide], columns, at)
        scaled = b_s * w[k]
        for j in range(k + 1):
            gram[guide, first + j] = gram[first + j, guide] = -_over_lines(scaled, w[j])
        gram[guide, guide] += w[k].sum(axis=-1)
    return DataTerms(
        gram=gram,
        coupling=coupling,
        score=score,
        line_score=shrunk.sum(axis=1),
        square=np.einsum("kpgc,kpgc->p", wm, np.broadcast_to(mean, wm.shape))
        - np.einsum("pgc,pgc->p", b_s * total, total),
        half_log_det=-0.5 * (np.log(pairs.spread).sum(axis=(0, 2, 3)) - np.log(s).sum(axis=(1, 2))),
    )


def _plain_terms(block: GeneBlock) -> DataTerms:
    """Return the sums where V is diag(n)."""
    n, mean, columns = block.count[0], block.mean[0], block.columns
    coupling, nm = n * columns, n * mean
    gram = np.empty((len(columns), len(columns), len(block.genes)))
    for at in block.own:
        for other in range(at + 1):
            gram[at, other] = gram[other, at] = _projected(coupling[at], columns, other)
    return DataTerms(
        gram=gram[:, :, None],
        coupling=coupling[:, None],
        score=np.stack([_projected(nm, columns, at) for at in block.own])[:, None],
        line_score=nm.sum(axis=0)[None],
        square=np.array([np.vdot(nm, mean)]),
        half_log_det=np.zeros(1),
    )


def _projected(values: np.ndarray, columns: np.ndarray, at: int) -> np.ndarray:
    """Return the sum of products with a column over the lines; column 0 is 1."""
    total: np.ndarray = _over_lines(values, columns[at]) if at else values.sum(axis=-1)
    return total


def _over_lines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the sum of products over the lines."""
    return np.einsum("...c,...c->...", left, right)

"""The guide-line pairs of a design, used by the nested model and by predictive draws.

Gene-line pairs, sufficient for models without guides, are `model.screen.design.Cells`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from model.screen.design import ScreenDesign


@dataclass(frozen=True, eq=False)
class GuideLines:
    """The N guide-line pairs with measurements, by guide, then by line, one entry per pair."""

    guide: np.ndarray
    """Index of the pair's guide (N,)."""
    gene: np.ndarray
    """Index of the guide's gene (N,)."""
    cell_line: np.ndarray
    """Index of the pair's line (N,)."""
    cell: np.ndarray
    """Index of the gene-line pair that contains it (N,), among `ScreenDesign.cells`."""
    guide_gene: np.ndarray
    """Index of each guide's gene (K,)."""
    count: np.ndarray
    """Measurements of the pair (N,), float64."""
    mean: np.ndarray
    """Mean log fold change of the pair (N,), log2."""
    covariates: dict[str, np.ndarray]
    """Covariates by name (N,); `rna` in SD."""
    within_ss: float
    """Sum over all pairs of squared deviations from the pair's mean."""
    within_df: int
    """Degrees of freedom of `within_ss`: measurements minus pairs."""
    line_within_ss: np.ndarray
    """`within_ss` by cell line (C,)."""
    line_within_df: np.ndarray
    """`within_df` by cell line (C,)."""

    @property
    def n_gene_lines(self) -> int:
        """Number of gene-line pairs."""
        return int(self.cell.max()) + 1

    @cached_property
    def guide_count(self) -> np.ndarray:
        """Measurements of each guide (K,), float64."""
        return np.bincount(self.guide, self.count, minlength=self.guide_gene.size)

    @cached_property
    def several_guides(self) -> np.ndarray:
        """Which pairs have another guide of the same gene in the same line (N,)."""
        return np.bincount(self.cell)[self.cell] > 1


def guide_lines(design: ScreenDesign) -> GuideLines:
    """Return the guide-line pairs of a design."""
    guide, line = np.nonzero(design.count)
    gene = design.guide_gene[guide]
    count = design.count[guide, line].astype(np.float64)
    total = design.total[guide, line]
    number = np.cumsum(design.gene_count > 0).reshape(design.gene_count.shape) - 1
    return GuideLines(
        guide=guide,
        gene=gene,
        cell_line=line,
        cell=number[gene, line],
        guide_gene=design.guide_gene,
        count=count,
        mean=total / count,
        covariates=design.covariates_at(gene, line),
        # Rounding may leave a few ulp below zero where all replicates agree.
        within_ss=max(0.0, design.total_sum_of_squares - float((total**2 / count).sum())),
        within_df=design.n_measurements - guide.size,
        line_within_ss=design.within_ss_by_line(by_guide=True),
        line_within_df=np.maximum(design.count.astype(np.int64) - 1, 0).sum(axis=0),
    )

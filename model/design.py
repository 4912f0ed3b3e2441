"""The design: a screen reduced to the numbers the models need (sufficient statistics).

For a linear-Gaussian likelihood the count, the sum and the sum of squares of the measurements of
each guide in each cell line hold all there is to know. How tables become a design is
`model.preparation`; what is done with it is in the engines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Cells:
    """The M gene-line cells that have measurements, one entry a cell."""

    gene: np.ndarray
    """Index of the cell's gene (M,)."""
    cell_line: np.ndarray
    """Index of the cell's line (M,)."""
    count: np.ndarray
    """Measurements in the cell (M,), float64."""
    mean: np.ndarray
    """Mean log fold change of the cell (M,), log2."""
    rna: np.ndarray
    """RNA covariate of the cell (M,), SD."""
    within_ss: float
    """Sum over all cells of squared deviations from the cell's mean."""
    within_df: int
    """Degrees of freedom of `within_ss`: measurements less cells."""


@dataclass(frozen=True, eq=False)
class ScreenDesign:
    """G genes, C cell lines and K guides of one screen; guides of a gene stand together."""

    genes: tuple[str, ...]
    """Gene labels (G,), sorted."""
    cell_lines: tuple[str, ...]
    """Cell line labels (C,), sorted."""
    guides: tuple[str, ...]
    """Guide labels (K,), by gene, then by label."""
    guide_gene: np.ndarray
    """Index of each guide's gene (K,), int64, non-decreasing, every gene present."""
    rna: np.ndarray
    """RNA covariate r_gc (G, C), float64: SDs from the gene's mean over lines; finite wherever
    there are measurements, else NaN where unknown."""
    rna_mean: np.ndarray
    """Mean of RNA by gene over its lines (G,), float64, log2(TPM+1); for RNA given as z-scores, the
    mean of those."""
    rna_sd: np.ndarray
    """SD of RNA by gene over its lines (G,), log2(TPM+1), ddof 1; for RNA given as z-scores, the
    SD of those."""
    rna_is_log2: bool
    """Whether `rna_sd` is in log2(TPM+1), so that slopes per log2 unit have a meaning."""
    count: np.ndarray
    """Measurements by guide and line (K, C), uint16."""
    total: np.ndarray
    """Sum of log fold change by guide and line (K, C), float64, 0 where there are none."""
    sum_of_squares: np.ndarray
    """Sum of squared log fold change by gene and line (G, C), float64, 0 where there are none."""
    lineage: tuple[str, ...] | None = None
    """Lineage of each cell line (C,), "" where unknown; None without a model table."""
    measurements: pd.DataFrame | None = None
    """Single measurements, where few enough to keep: gene, cell_line, guide (integer codes into the
    labels above), replicate (running number in its guide and line), rna, logfc; None otherwise."""

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Labels by dim of the posterior."""
        return {"gene": self.genes, "cell_line": self.cell_lines, "guide": self.guides}

    @property
    def n_measurements(self) -> int:
        """Number of measurements, all guides and lines."""
        return int(self.count.sum(dtype=np.int64))

    @cached_property
    def first_guide(self) -> np.ndarray:
        """Index of the first guide of each gene (G,)."""
        return np.flatnonzero(np.diff(self.guide_gene, prepend=-1))

    @cached_property
    def gene_count(self) -> np.ndarray:
        """n_gc, measurements by gene and line (G, C), float64."""
        return np.add.reduceat(self.count, self.first_guide, axis=0, dtype=np.float64)

    @cached_property
    def gene_total(self) -> np.ndarray:
        """Sum of log fold change by gene and line (G, C), float64."""
        return np.add.reduceat(self.total, self.first_guide, axis=0)

    @property
    def total_sum_of_squares(self) -> float:
        """Sum of squared log fold change over all measurements."""
        return float(self.sum_of_squares.sum())

    def of_genes(self, indices: Iterable[int]) -> ScreenDesign:
        """Return the design of some genes (by index), with their guides and all cell lines.

        Genes and guides stay sorted, whatever the order of `indices`.
        """
        genes = np.unique(np.fromiter(indices, np.int64))
        guides = np.flatnonzero(np.isin(self.guide_gene, genes))
        return replace(
            self,
            genes=tuple(self.genes[index] for index in genes),
            guides=tuple(self.guides[index] for index in guides),
            guide_gene=np.searchsorted(genes, self.guide_gene[guides]),
            rna=self.rna[genes],
            rna_mean=self.rna_mean[genes],
            rna_sd=self.rna_sd[genes],
            count=self.count[guides],
            total=self.total[guides],
            sum_of_squares=self.sum_of_squares[genes],
            measurements=_recoded(self.measurements, gene=genes, guide=guides),
        )

    def within_ss_by_line(self, *, by_guide: bool) -> np.ndarray:
        """Return the sum of squares of each line (C,) within its guide-line or gene-line cells."""
        count, total = (self.count, self.total) if by_guide else (self.gene_count, self.gene_total)
        of_means = np.zeros(len(self.cell_lines))
        for n, one in zip(count, total, strict=True):  # squares of all cells take much memory
            of_means += one**2 / np.maximum(n, 1)
        # Rounding may leave a few ulp below zero where all replicates agree.
        return np.maximum(0, self.sum_of_squares.sum(axis=0) - of_means)

    @cached_property
    def cells(self) -> Cells:
        """The gene-line cells with measurements, by gene, then by line."""
        gene, line = np.nonzero(self.gene_count)
        count, total = self.gene_count[gene, line], self.gene_total[gene, line]
        return Cells(
            gene=gene,
            cell_line=line,
            count=count,
            mean=total / count,
            rna=self.rna[gene, line],
            # Rounding may leave a few ulp below zero where all replicates agree.
            within_ss=max(0.0, self.total_sum_of_squares - float((total**2 / count).sum())),
            within_df=self.n_measurements - gene.size,
        )


def _recoded(measurements: pd.DataFrame | None, **kept: np.ndarray) -> pd.DataFrame | None:
    """Return the measurements of the items kept, by column, in the codes of those alone."""
    if measurements is None:
        return None
    mine = np.logical_and.reduce([measurements[name].isin(kept[name]) for name in kept])
    rows = measurements[mine].reset_index(drop=True)
    codes = {name: np.searchsorted(items, rows[name]) for name, items in kept.items()}
    return rows.assign(**codes).astype({name: rows.dtypes[name] for name in codes})

"""The shared part of two screens, with data of either or of both.

`model.comparison.attribution` fits these screens.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from model.comparison.data import gene_key, raw_rna, shared_part
from model.screen.covariates import centred
from model.screen.design import ScreenDesign
from model.screen.preparation import rna_moments

FEWEST_LINES = 3
"""Smallest number of shared cell lines: two points do not determine a slope."""
ROUNDING = 1e-9
"""RNA with a smaller SD is constant up to rounding."""


class NotShared(ValueError):
    """Two fits with too little in common to attribute a difference."""


class SharedScreens:
    """The cell lines and genes of two designs, and all guides that either has for these genes."""

    def __init__(self, a: ScreenDesign, b: ScreenDesign) -> None:
        """Raise NotShared where too little is shared to fit."""
        shared = shared_part(a, b)
        self._designs = (a, b)
        self._genes, self._lines = shared.genes, shared.cell_lines
        self.genes = tuple(b.genes[gene] for gene in shared.genes[1])
        """Labels of B, in its order."""
        self.cell_lines = tuple(b.cell_lines[line] for line in shared.cell_lines[1])
        if len(self.cell_lines) < FEWEST_LINES:
            raise NotShared(
                f"the fits share {len(self.cell_lines)} cell lines, expected at least "
                f"{FEWEST_LINES}"
            )
        rows = [_guide_rows(design, self.genes) for design in (a, b)]
        guides = sorted({*rows[0], *rows[1]})
        self._guide_gene = np.array([gene for gene, _ in guides], np.int64)
        self._guides = tuple(guide for _, guide in guides)
        # -1 where a design has no such guide.
        self._rows = [np.array([own.get(guide, -1) for guide in guides]) for own in rows]
        ends = (self._mixed((), rna_of_b=False), self._mixed(self.cell_lines, rna_of_b=True))
        self._sound = np.flatnonzero((ends[0].rna_sd > 0) & (ends[1].rna_sd > 0))
        if not self._sound.size:
            raise NotShared("no shared gene has RNA that varies over the shared cell lines")

    def mixed(self, of_b: Collection[str], *, rna_of_b: bool) -> ScreenDesign:
        """Return the screen whose log fold changes are B's in the lines `of_b`, else A's.

        RNA and other covariates are those of A or of B, RNA standardised and the others centred
        over the shared lines; a covariate of the other screen alone is 0. Genes whose RNA does not
        vary over these lines are excluded.
        """
        return _without_empty_guides(self._mixed(of_b, rna_of_b=rna_of_b).of_genes(self._sound))

    def _mixed(self, of_b: Collection[str], *, rna_of_b: bool) -> ScreenDesign:
        from_b = np.isin(self.cell_lines, list(of_b))

        def by_guide(at: int, values: np.ndarray) -> np.ndarray:
            found = values[np.ix_(self._rows[at], self._lines[at])]
            found[self._rows[at] < 0] = 0
            return found

        def by_gene(at: int, values: np.ndarray) -> np.ndarray:
            return values[np.ix_(self._genes[at], self._lines[at])]

        a, b = self._designs
        at, design = (1, b) if rna_of_b else (0, a)
        nothing = np.zeros_like(design.rna)
        return _standardised(
            ScreenDesign(
                genes=self.genes,
                cell_lines=self.cell_lines,
                guides=self._guides,
                guide_gene=self._guide_gene,
                rna=by_gene(at, raw_rna(design)),
                rna_mean=np.zeros(len(self.genes)),
                rna_sd=np.ones(len(self.genes)),
                rna_is_log2=b.rna_is_log2,
                count=np.where(from_b, by_guide(1, b.count), by_guide(0, a.count)),
                total=np.where(from_b, by_guide(1, b.total), by_guide(0, a.total)),
                sum_of_squares=np.where(
                    from_b, by_gene(1, b.sum_of_squares), by_gene(0, a.sum_of_squares)
                ),
                covariates={
                    name: by_gene(at, design.covariates.get(name, nothing))
                    for name in sorted({*a.covariates, *b.covariates})
                },
            )
        )


def _guide_rows(design: ScreenDesign, genes: tuple[str, ...]) -> dict[tuple[int, str], int]:
    """Return the row of each guide of these genes, by position of its gene and label."""
    position = {gene_key(gene): at for at, gene in enumerate(genes)}
    of_gene = [position.get(gene_key(gene)) for gene in design.genes]
    return {
        (gene, guide): row
        for row, guide in enumerate(design.guides)
        if (gene := of_gene[design.guide_gene[row]]) is not None
    }


def _standardised(design: ScreenDesign) -> ScreenDesign:
    """Standardise RNA by gene over its measured lines and centre the other covariates.

    `rna_sd` is 0 where RNA is constant. z-scores are not changed.
    """
    measured = design.gene_count > 0
    mean, sd = rna_moments(design.rna, measured)
    mean = np.where(measured.any(axis=1), mean, 0)
    sd = np.where(sd > ROUNDING, sd, 0)
    rna = design.rna
    if design.rna_is_log2:
        rna = (rna - mean[:, None]) / np.where(sd > 0, sd, 1)[:, None]
    covariates = {name: centred(values, measured)[0] for name, values in design.covariates.items()}
    return replace(design, rna=rna, rna_mean=mean, rna_sd=sd, covariates=covariates)


def _without_empty_guides(design: ScreenDesign) -> ScreenDesign:
    """Remove guides without a measurement; each gene keeps at least one guide."""
    kept = design.count.any(axis=1)
    kept[design.first_guide[~np.logical_or.reduceat(kept, design.first_guide)]] = True
    return replace(
        design,
        guides=tuple(guide for guide, keep in zip(design.guides, kept, strict=True) if keep),
        guide_gene=design.guide_gene[kept],
        count=design.count[kept],
        total=design.total[kept],
    )

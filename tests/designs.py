"""Designs for tests, built the slow and obvious way."""

from __future__ import annotations

import numpy as np
import pandas as pd

from model.design import ScreenDesign
from model.simulate import original_screen


def design_from_rows(rows: pd.DataFrame) -> ScreenDesign:
    """Return the design of a long table gene, cell_line, guide, rna, logfc."""
    genes, lines = sorted(rows.gene.unique()), sorted(rows.cell_line.unique())
    guides = rows[["gene", "guide"]].drop_duplicates().sort_values(["gene", "guide"])
    names = list(guides.guide)
    count = np.zeros((len(names), len(lines)), np.uint16)
    total = np.zeros((len(names), len(lines)))
    squares = np.zeros(len(names))
    rna = np.full((len(genes), len(lines)), np.nan)
    columns = (rows[name].tolist() for name in ("gene", "cell_line", "guide", "rna", "logfc"))
    for gene, cell_line, label, expression, logfc in zip(*columns, strict=True):
        guide, line = names.index(label), lines.index(cell_line)
        count[guide, line] += 1
        total[guide, line] += logfc
        squares[guide] += logfc**2
        rna[genes.index(gene), line] = expression
    codes = pd.DataFrame(
        {
            "gene": [genes.index(gene) for gene in rows.gene],
            "cell_line": [lines.index(line) for line in rows.cell_line],
            "guide": [names.index(guide) for guide in rows.guide],
            "replicate": rows.groupby(["guide", "cell_line"]).cumcount().to_numpy(),
            "rna": rows.rna.to_numpy(),
            "logfc": rows.logfc.to_numpy(),
        }
    )
    return ScreenDesign(
        genes=tuple(genes),
        cell_lines=tuple(lines),
        guides=tuple(names),
        guide_gene=np.array([genes.index(gene) for gene in guides.gene]),
        rna=rna,
        rna_mean=np.zeros(len(genes)),
        rna_sd=np.nanstd(rna, axis=1, ddof=1),
        rna_is_log2=False,
        count=count,
        total=total,
        sum_of_squares=squares,
        measurements=codes,
    )


def original_rows() -> pd.DataFrame:
    """Return the simulated screen with guide labels."""
    rows = original_screen().measurements
    return rows.assign(guide=rows.gene + "/" + rows.sgrna_idx.astype(str))

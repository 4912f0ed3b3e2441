"""What the tables have in common, and rules of how much of it the logFC table covers.

Rules across the tables before they are joined are in `schemas.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from schemas.findings import MOST_SHOWN, Rule
from schemas.parameters import FitParameters
from schemas.reports import Finding
from schemas.tables import CheckedTables
from schemas.usable import usable_guides, usable_sequences

GUIDES_PER_GENE = Rule(
    "guides_per_gene",
    "at least {least} usable guides a gene",
    "nothing, if so meant: with one guide, guide and gene cannot be told apart",
    "warning",
)
LINES_PER_GENE = Rule(
    "cell_lines_per_gene",
    "at least {least} cell lines a gene with RNA",
    "nothing, if so meant: these genes are set aside",
    "warning",
)
GENES_LEFT = Rule(
    "genes_left",
    "a gene with guides, RNA and at least {least} cell lines",
    "check that guide map, sequence map and RNA speak of the same screen",
)
CONNECTED = Rule(
    "connected",
    "genes and cell lines linked by measurements into one whole",
    "fit the parts as datasets of their own: their effects cannot be compared",
)


@dataclass(frozen=True)
class Join:
    """What guide map, sequence map and RNA have in common."""

    genes: pd.Index
    """Genes with usable guides and RNA, sorted."""
    cell_lines: pd.Index
    """Cell lines with usable sequences and a default RNA profile, sorted."""
    has_rna: np.ndarray
    """Whether RNA is known, (n_genes, n_cell_lines), bool."""


@dataclass(frozen=True)
class JoinCoverage:
    """What the logFC table holds of the join."""

    join: Join
    n_guides: np.ndarray
    """Guides with a value, by gene (n_genes,)."""
    measured: np.ndarray
    """Whether there is a value, (n_genes, n_cell_lines), bool."""


def join_of(tables: CheckedTables, sequences: Sequence[str], library: str) -> Join | None:
    """Return what the tables have in common, or None where one of them is missing."""
    guide_map, sequence_map = tables.guide_map, tables.sequence_map
    profiles, rna = tables.profiles, tables.rna
    if guide_map is None or sequence_map is None or profiles is None or rna is None:
        return None
    screened = sequence_map[usable_sequences(sequence_map, library)]
    screened_lines = screened.loc[screened["sequence"].isin(sequences), "cell_line"]
    rna = rna.set_axis(profiles["cell_line"])[profiles["is_default"].to_numpy()]
    rna = rna.loc[~rna.index.duplicated(), ~rna.columns.duplicated()]
    targeted = guide_map.loc[usable_guides(guide_map), "gene"]
    genes = rna.columns.intersection(pd.Index(targeted)).sort_values()
    cell_lines = rna.index.intersection(pd.Index(screened_lines)).sort_values()
    return Join(genes, cell_lines, np.isfinite(rna.loc[cell_lines, genes].to_numpy()).T)


def check_coverage(coverage: JoinCoverage, parameters: FitParameters) -> list[Finding]:
    """Return the rules broken by what the logFC table holds of the join of all tables.

    Where nothing is in all tables, that has been said by the rules across them.
    """
    return list(_covered(coverage, parameters)) if coverage.join.has_rna.size else []


def _covered(coverage: JoinCoverage, parameters: FitParameters) -> Iterator[Finding]:
    genes, cell_lines = coverage.join.genes, coverage.join.cell_lines
    least_guides = parameters.contract.min_guides_per_gene
    least_lines = parameters.preparation.min_cell_lines_per_gene
    linked = coverage.measured & coverage.join.has_rna
    n_lines = linked.sum(axis=1)
    if few := _labelled(
        genes, coverage.n_guides, (n_lines > 0) & (coverage.n_guides < least_guides)
    ):
        yield GUIDES_PER_GENE.broken("logfc+guide_map", few, column="gene", least=least_guides)
    fitted = n_lines >= least_lines
    if not fitted.any():
        found = [f"{len(genes)} genes and {len(cell_lines)} cell lines in all tables"]
        yield GENES_LEFT.broken("logfc+guide_map+rna", found, column="gene", least=least_lines)
        return
    if few := _labelled(genes, n_lines, ~fitted):
        yield LINES_PER_GENE.broken("logfc+rna", few, column="gene", least=least_lines)
    parts = linked_parts(linked[fitted], genes[fitted], cell_lines)
    if len(parts) > 1:
        yield CONNECTED.broken("logfc+rna", parts[1:], column="gene+cell_line")


def _labelled(labels: pd.Index, counts: np.ndarray, which: np.ndarray) -> list[str]:
    return [f"{label}: {count}" for label, count in zip(labels[which], counts[which], strict=True)]


def linked_parts(linked: np.ndarray, genes: pd.Index, cell_lines: pd.Index) -> list[str]:
    """Return the connected parts of the graph of genes and cell lines, the largest first.

    `linked`: whether a gene is measured in a line, (n_genes, n_cell_lines), bool. Lines
    are neighbours where a gene is measured in both; every gene is measured in some line, and lines
    in which none is are no part.
    """
    weights = linked.astype(np.float32)
    _, line_part = connected_components(weights.T @ weights > 0, directed=False)
    gene_part = line_part[linked.argmax(axis=1)]
    names, sizes = np.unique(gene_part, return_counts=True)
    return [
        f"{size} genes ({_some(genes[gene_part == name])}) "
        f"x {(line_part == name).sum()} cell lines ({_some(cell_lines[line_part == name])})"
        for size, name in sorted(zip(sizes, names, strict=True), reverse=True)
    ]


def _some(labels: pd.Index) -> str:
    shown = ", ".join(map(str, labels[:MOST_SHOWN]))
    return f"{shown}, ..." if len(labels) > MOST_SHOWN else shown

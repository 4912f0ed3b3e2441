"""Join of the tables, and rules on how much of it the logFC table covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from schemas.parameters import FitParameters
from schemas.reports import Finding
from schemas.tables.eligibility import usable_guides, usable_sequences
from schemas.tables.maps import CheckedTables
from schemas.tables.rule import MOST_SHOWN, Rule

GUIDES_PER_GENE = Rule(
    "guides_per_gene",
    "at least {least} usable guides per gene",
    "none needed if intended: with one guide, guide and gene effects cannot be distinguished",
    "warning",
)
LINES_PER_GENE = Rule(
    "cell_lines_per_gene",
    "at least {least} cell lines with RNA per gene",
    "none needed if intended: these genes are excluded",
    "warning",
)
GENES_LEFT = Rule(
    "genes_left",
    "a gene with guides, RNA and at least {least} cell lines (min_cell_lines_per_gene)",
    "check that all tables come from the same screen; for one of few lines, lower this setting",
)
CONNECTED = Rule(
    "connected",
    "genes and cell lines connected by measurements into one component",
    "fit the components as separate datasets: their effects cannot be compared",
)


@dataclass(frozen=True)
class Join:
    """Intersection of guide map, sequence map and RNA."""

    genes: pd.Index
    """Genes with usable guides and RNA, sorted."""
    cell_lines: pd.Index
    """Cell lines with usable sequences and a default RNA profile, sorted."""
    has_rna: np.ndarray
    """Whether RNA is known, (n_genes, n_cell_lines), bool."""


@dataclass(frozen=True)
class JoinCoverage:
    """Coverage of the join by the logFC table."""

    join: Join
    n_guides: np.ndarray
    """Guides with a value, by gene (n_genes,)."""
    measured: np.ndarray
    """Whether there is a value, (n_genes, n_cell_lines), bool."""


def join_of(tables: CheckedTables, sequences: Sequence[str], library: str) -> Join | None:
    """Return the join of the tables, or None where one of them is missing."""
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
    """Return the rules broken by the logFC table's coverage of the join.

    An empty join is already reported by `schemas.tables.relations`.
    """
    return list(_broken_rules(coverage, parameters)) if coverage.join.has_rna.size else []


def _broken_rules(coverage: JoinCoverage, parameters: FitParameters) -> Iterator[Finding]:
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
    """Return the connected components of the graph of genes and cell lines, the largest first.

    `linked`: whether a gene is measured in a line, (n_genes, n_cell_lines), bool. Two lines are
    neighbours where a gene is measured in both. Every gene must be measured in some line; lines
    without a measurement belong to no component.
    """
    weights = linked.astype(np.float32)
    _, line_part = connected_components(weights.T @ weights > 0, directed=False)
    gene_part = line_part[linked.argmax(axis=1)]
    names, sizes = np.unique(gene_part, return_counts=True)
    return [
        f"{size} genes ({_first_labels(genes[gene_part == name])}) "
        f"x {(line_part == name).sum()} cell lines ({_first_labels(cell_lines[line_part == name])})"
        for size, name in sorted(zip(sizes, names, strict=True), reverse=True)
    ]


def _first_labels(labels: pd.Index) -> str:
    shown = ", ".join(map(str, labels[:MOST_SHOWN]))
    return f"{shown}, ..." if len(labels) > MOST_SHOWN else shown

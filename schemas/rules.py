"""Rules across the small tables, and of what the join of all tables covers.

Works on tables already in their types (`schemas.tables`); what a table must look like by itself is
there, what the logFC table must look like in `schemas.logfc_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from schemas.dataset import Dataset
from schemas.findings import MOST_SHOWN, Rule
from schemas.parameters import FitParameters
from schemas.reports import Finding
from schemas.tables import BLANKS, CheckedTables
from schemas.usable import (
    KEPT,
    NO_GENE,
    guide_reasons,
    sequence_reasons,
    usable_guides,
    usable_sequences,
)

LOGFC_SEQUENCE_UNIQUE = Rule(
    "logfc_sequence_unique", "one column a sequence", "keep the right column of each"
)
SEQUENCE_IN_MAP = Rule(
    "sequence_in_map",
    "every sequence of the logFC table in the sequence map",
    "take table and map from the same release",
)
LIBRARY_IN_MAP = Rule(
    "library_in_map",
    "the dataset's library ({library}) in the sequence map",
    "set `library` in the dataset to one that is there",
)
SEQUENCES_LEFT = Rule(
    "sequences_left",
    "a sequence of {library} that passes quality control, is not excluded and is of a 2DS screen",
    "check these columns of the sequence map",
)
GUIDES_LEFT = Rule(
    "guides_left",
    "a guide that is used, has one alignment and a gene",
    "check these columns of the guide map",
)
GUIDE_OF_ONE_GENE = Rule(
    "guide_of_one_gene",
    "one gene a guide, among guides with one alignment",
    "keep one row of each guide, or give its true number of alignments",
)
GUIDE_MAP_UNIQUE = Rule(
    "guide_map_unique", "one row a guide, among guides with one alignment", "keep one row of each"
)
GUIDES_WITHOUT_GENE = Rule(
    "guides_without_gene",
    "a gene for each guide with one alignment",
    "nothing, if they are made to hit no gene: they are left out",
    "warning",
)
GENES_RETAINED = Rule(
    "genes_retained",
    "at least {least:.0%} of the genes of {smaller} in {other}; {n_shared} of {n_all} are",
    "take guide map and RNA from matching releases",
)
GENES_LOST = Rule(
    "genes_lost",
    "every gene of {smaller} in {other}; {n_shared} of {n_all} are",
    "nothing, if so meant: these genes are left out",
    "warning",
)
CELL_LINES_RETAINED = Rule(
    "cell_lines_retained",
    "at least {least:.0%} of the cell lines of {smaller} in {other}; {n_shared} of {n_all} are",
    "take sequence map and RNA from matching releases",
)
CELL_LINES_LOST = Rule(
    "cell_lines_lost",
    "every cell line of {smaller} in {other}; {n_shared} of {n_all} are",
    "nothing, if so meant: these lines are left out",
    "warning",
)
LINES_IN_MODEL_TABLE = Rule(
    "cell_lines_in_model_table",
    "every fitted cell line in the model table",
    "nothing, if so meant: these lines have no lineage",
    "warning",
)
CONTROLS_FOUND = Rule(
    "controls_found",
    "some of the control genes among the genes of usable guides",
    "check that this is the list for this library",
)
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
class Coverage:
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


# ------------------------------------------------------------------------------- across tables


def check_across(
    tables: CheckedTables,
    sequences: Sequence[str] | None,
    dataset: Dataset,
    parameters: FitParameters,
) -> list[Finding]:
    """Return the rules broken between the small tables and the columns of the logFC table.

    `sequences` is None where the logFC table could not be opened. A rule is left out where a table
    it needs is missing.
    """
    findings: list[Finding] = []
    if sequences is not None:
        findings += _sequences(sequences, tables.sequence_map)
        sequences = [sequence.strip() for sequence in sequences]
    if tables.sequence_map is not None:
        findings += _something_screened(tables.sequence_map, sequences, dataset.library)
    if tables.guide_map is not None:
        findings += _guides(tables.guide_map)
        findings += _controls(tables)
    if sequences is not None:
        findings += _retention(tables, sequences, dataset.library, parameters)
    return findings


def _sequences(sequences: Sequence[str], sequence_map: pd.DataFrame | None) -> Iterator[Finding]:
    labels = pd.Series(sequences, dtype="str")
    if (blanks := labels != labels.str.strip()).any():
        yield BLANKS.broken("logfc", list(map(repr, labels[blanks])), column="sequence")
    labels = labels.str.strip()
    if labels.duplicated().any():
        yield LOGFC_SEQUENCE_UNIQUE.broken("logfc", list(labels[labels.duplicated()]))
    if sequence_map is not None:
        missing = labels[~labels.isin(sequence_map["sequence"])].unique()
        if len(missing):
            yield SEQUENCE_IN_MAP.broken("logfc+sequence_map", list(missing), column="sequence")


def _something_screened(
    sequence_map: pd.DataFrame, sequences: Sequence[str] | None, library: str
) -> Iterator[Finding]:
    libraries = sequence_map["library"].dropna().unique()
    if library not in libraries:
        found = [f"there are {', '.join(sorted(libraries)) or 'none'}"]
        yield LIBRARY_IN_MAP.broken("sequence_map", found, column="library", library=library)
        return
    if sequences is not None:
        sequence_map = sequence_map[sequence_map["sequence"].isin(sequences)]
    reasons = sequence_reasons(sequence_map, library)
    if len(reasons) and not (reasons == KEPT).any():
        yield SEQUENCES_LEFT.broken(
            "sequence_map", _counted(reasons), count=len(reasons), library=library
        )


def _guides(guide_map: pd.DataFrame) -> Iterator[Finding]:
    reasons = guide_reasons(guide_map)
    usable = guide_map[reasons == KEPT]
    # Rows without a guide, too, have a rule of their own (`schemas.tables`).
    without_gene = guide_map.loc[reasons == NO_GENE, "guide"].dropna()
    if len(without_gene):
        yield GUIDES_WITHOUT_GENE.broken("guide_map", list(without_gene), column="gene")
    if len(guide_map) and usable.empty:
        yield GUIDES_LEFT.broken("guide_map", _counted(reasons), count=len(guide_map))
    repeated = usable[usable["guide"].duplicated(keep=False)]
    genes = repeated.groupby("guide")["gene"].unique()
    of_several = [
        f"{guide}: {', '.join(names)}" for guide, names in genes.items() if len(names) > 1
    ]
    if of_several:
        yield GUIDE_OF_ONE_GENE.broken("guide_map", of_several, column="guide")
    again = [str(guide) for guide, names in genes.items() if len(names) == 1]
    if again:
        yield GUIDE_MAP_UNIQUE.broken("guide_map", again, column="guide")


def _counted(reasons: pd.Series) -> list[str]:
    return [f"{count} of {len(reasons)}: {why}" for why, count in reasons.value_counts().items()]


def _controls(tables: CheckedTables) -> Iterator[Finding]:
    assert tables.guide_map is not None
    targeted = tables.guide_map.loc[usable_guides(tables.guide_map), "gene"]
    for name in ("essential", "nonessential", "expression_addictions"):
        genes = getattr(tables, name)
        if genes and len(targeted) and not targeted.isin(genes).any():
            yield CONTROLS_FOUND.broken(f"{name}+guide_map", genes, column="gene")


def _retention(
    tables: CheckedTables, sequences: Sequence[str], library: str, parameters: FitParameters
) -> Iterator[Finding]:
    guide_map, sequence_map = tables.guide_map, tables.sequence_map
    profiles, rna = tables.profiles, tables.rna
    least = parameters.contract.min_join_retention
    if guide_map is not None and rna is not None:
        screened = set(guide_map.loc[usable_guides(guide_map), "gene"])
        yield from _lost(
            screened, set(rna.columns), GENES_RETAINED, GENES_LOST, "guide_map", "gene", least
        )
    if sequence_map is not None and profiles is not None:
        usable = sequence_map[usable_sequences(sequence_map, library)]
        screened = set(usable.loc[usable["sequence"].isin(sequences), "cell_line"].dropna())
        known = set(profiles.loc[profiles["is_default"], "cell_line"].dropna())
        yield from _lost(
            screened,
            known,
            CELL_LINES_RETAINED,
            CELL_LINES_LOST,
            "sequence_map",
            "cell_line",
            least,
        )
        if tables.model_table is not None:
            unknown = (screened & known) - set(tables.model_table["cell_line"])
            if unknown:
                yield LINES_IN_MODEL_TABLE.broken(
                    "model_table", sorted(unknown), column="cell_line"
                )


def _lost(
    screened: set[str],
    known: set[str],
    retained: Rule,
    lost: Rule,
    table: str,
    column: str,
    least: float,
) -> Iterator[Finding]:
    """Judge the share of the smaller set found in the other; an empty set has its own rule."""
    names = (table, "rna") if len(screened) <= len(known) else ("rna", table)
    smaller, other = sorted((screened, known), key=len)
    missing = sorted(smaller - other)
    if not smaller or not missing:
        return
    n_shared = len(smaller) - len(missing)
    rule = retained if n_shared == 0 or n_shared < least * len(smaller) else lost
    yield rule.broken(
        f"{table}+rna",
        missing,
        column=column,
        least=least,
        smaller=names[0],
        other=names[1],
        n_shared=n_shared,
        n_all=len(smaller),
    )


# ------------------------------------------------------------------------------ what is covered


def check_coverage(coverage: Coverage, parameters: FitParameters) -> list[Finding]:
    """Return the rules broken by what the logFC table holds of the join of all tables.

    Where nothing is in all tables, that has been said by the rules across them.
    """
    return list(_covered(coverage, parameters)) if coverage.join.has_rna.size else []


def _covered(coverage: Coverage, parameters: FitParameters) -> Iterator[Finding]:
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

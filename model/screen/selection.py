"""Selection of sequences, guides, genes and cell lines from the small tables and the filters.

It precedes the reading of log fold changes; `model.screen.preparation` may exclude more.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from schemas.errors import UserError
from schemas.parameters import Filters
from schemas.tables.containers import Screen
from schemas.tables.eligibility import INCLUDED, first_reason, guide_reasons, sequence_reasons

MOST_NEAR_MATCHES = 10


class PreparationError(UserError):
    """A screen and settings that leave nothing to fit, or a filter with an unknown name."""


@dataclass(frozen=True)
class Selection:
    """Items that may be fitted. Reasons are phrases, `INCLUDED` for kept items."""

    sequences: pd.DataFrame
    """One row per column of the logFC table: sequence, cell_line, reason."""
    guides: pd.DataFrame
    """One row per guide of the guide map, index = guide label: gene, reason."""
    genes: pd.Series
    """Reason of every gene of guide map or RNA, index = gene label, sorted."""
    cell_lines: pd.Series
    """Reason of every cell line of sequence map or RNA, index = cell line, sorted."""
    rna: pd.DataFrame
    """RNA of the default profiles, kept genes x kept cell lines, as given."""


def select(screen: Screen, sequences: Sequence[str], library: str, filters: Filters) -> Selection:
    """Return the items that may be fitted; raise PreparationError where nothing is left."""
    by_sequence = select_sequences(screen.sequence_map, sequences, library)
    by_guide = select_guides(screen.guide_map)
    default = screen.profiles["is_default"] & screen.profiles["cell_line"].notna()
    rna = screen.rna[default.to_numpy()].set_axis(screen.profiles.loc[default, "cell_line"])

    screened_genes = by_guide["gene"].dropna()
    # Without sort=True, pandas returns the union of two equal indices unsorted.
    genes = pd.Index(screened_genes).union(screen.rna.columns, sort=True).unique()
    screened_lines = screen.sequence_map["cell_line"].dropna()
    known_lines = screen.profiles["cell_line"].dropna()
    cell_lines = pd.Index(screened_lines).union(known_lines, sort=True).unique()
    asked_genes, asked_lines, of_lineage = _filtered(filters, genes, cell_lines, screen.model_table)

    gene_reasons = first_reason(
        genes,
        {
            "not selected": ~genes.isin(asked_genes),
            "no guide": ~genes.isin(screened_genes),
            "no usable guide": ~genes.isin(by_guide.loc[by_guide["reason"] == INCLUDED, "gene"]),
            "symbol of several genes": genes.isin(screen.ambiguous_genes),
            "no RNA": ~genes.isin(rna.columns),
        },
    )
    usable = by_sequence.loc[by_sequence["reason"] == INCLUDED, "cell_line"]
    line_reasons = first_reason(
        cell_lines,
        {
            "not selected": ~cell_lines.isin(asked_lines),
            "left out": cell_lines.isin(filters.without_cell_lines or ()),
            "lineage not selected": ~cell_lines.isin(of_lineage),
            "no sequence": ~cell_lines.isin(screened_lines),
            "no usable sequence": ~cell_lines.isin(usable),
            "no RNA": ~cell_lines.isin(rna.index),
        },
    )
    kept_genes = genes[gene_reasons == INCLUDED]
    kept_lines = cell_lines[line_reasons == INCLUDED]
    require_some("gene", gene_reasons)
    require_some("cell line", line_reasons)
    return Selection(
        sequences=with_reason_of(by_sequence, "cell_line", line_reasons, "cell line"),
        guides=with_reason_of(by_guide, "gene", gene_reasons, "gene"),
        genes=gene_reasons,
        cell_lines=line_reasons,
        rna=rna.loc[kept_lines, kept_genes].T,
    )


def select_sequences(
    sequence_map: pd.DataFrame, sequences: Sequence[str], library: str
) -> pd.DataFrame:
    """Return sequence, cell_line and reason for each column of the logFC table."""
    known = sequence_map.drop_duplicates("sequence").set_index("sequence").reindex(list(sequences))
    in_map = known.index.isin(sequence_map["sequence"])
    reason = sequence_reasons(known, library).where(in_map, "not in the sequence map")
    return known[["cell_line"]].assign(reason=reason).reset_index(names="sequence")


def select_guides(guide_map: pd.DataFrame) -> pd.DataFrame:
    """Return gene and reason by guide; of several rows of a guide, the first usable one."""
    rows = guide_map[["gene"]].assign(reason=guide_reasons(guide_map))
    rows = rows.set_index(pd.Index(guide_map["guide"]))
    usable_first = rows.iloc[np.argsort(rows["reason"] != INCLUDED, kind="stable")]
    return usable_first[~usable_first.index.duplicated()].sort_index()


def require_some(unit: str, reasons: pd.Series) -> None:
    """Raise PreparationError, with the reasons, where none is kept."""
    if not (reasons == INCLUDED).any():
        counts = ", ".join(f"{count} {why}" for why, count in reasons.value_counts().items())
        raise PreparationError(
            f"expected at least one {unit} to fit, all {len(reasons)} are excluded ({counts}); "
            "widen the filters, or check that the tables come from the same release"
        )


def with_reason_of(items: pd.DataFrame, column: str, owners: pd.Series, unit: str) -> pd.DataFrame:
    """Return the items; kept ones get the reason of their gene or cell line, if it has one."""
    inherited = items[column].map(owners).fillna(INCLUDED)
    excluded = (items["reason"] == INCLUDED) & (inherited != INCLUDED)
    return items.assign(reason=items["reason"].where(~excluded, f"{unit}: " + inherited))


def _filtered(
    filters: Filters, genes: pd.Index, cell_lines: pd.Index, model_table: pd.DataFrame | None
) -> tuple[Iterable[str], Iterable[str], Iterable[str]]:
    """Return genes, cell lines and lines of lineages named by the filters; all without a filter."""
    if filters.lineages and model_table is None:
        raise PreparationError(
            "lineages: expected a model table, the dataset has none; put Model.csv into the "
            "release folder, or add `model_table:` to the dataset file"
        )
    lineage = pd.Series(dtype=object)
    if model_table is not None:
        lineage = model_table.set_index("cell_line")["lineage"].dropna()
    names = {label: [label] for label in genes}
    for label in genes if filters.genes else ():
        symbol, _, entrez = label.partition(" (")
        for name in {symbol, entrez.removesuffix(")")} - {"", label}:
            names.setdefault(name, []).append(label)
    lines = {line: [line] for line in cell_lines}
    known: dict[str, tuple[Sequence[str], Mapping[str, Sequence[str]]]] = {
        "genes": (filters.genes or (), names),
        "cell_lines": (filters.cell_lines or (), lines),
        "without_cell_lines": (filters.without_cell_lines or (), lines),
        "lineages": (filters.lineages or (), {name: [name] for name in lineage.unique()}),
    }
    problems = [
        problem for key, (asked, names) in known.items() for problem in _unknown(key, asked, names)
    ]
    if problems:
        raise PreparationError("\n".join(problems))
    asked_genes, asked_lines, _, lineages = (
        [label for name in asked for label in names[name]] for asked, names in known.values()
    )
    return (
        asked_genes or genes,
        asked_lines or cell_lines,
        lineage.index[lineage.isin(lineages)] if lineages else cell_lines,
    )


def _unknown(key: str, asked: Sequence[str], known: Mapping[str, object]) -> Iterable[str]:
    unknown = [name for name in asked if name not in known]
    if not unknown:
        return
    folded = {name.casefold(): name for name in known}
    shown = []
    for name in unknown[:MOST_NEAR_MATCHES]:
        near = difflib.get_close_matches(name.casefold(), folded, n=3)
        shown.append(f"{name} (near: {', '.join(folded[match] for match in near) or 'nothing'})")
    more = f" and {len(unknown) - len(shown)} more" if len(unknown) > len(shown) else ""
    yield f"{key}: expected names in the tables, got {', '.join(shown)}{more}; correct the filter"

"""Which sequences, guides, genes and cell lines of a screen may enter a fit, and why not others.

Decided from the small tables and the filters alone, before any log fold change is read. What the
measurements then decide (too few lines, RNA that hardly varies) is in `model.preparation`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from schemas.errors import UserError
from schemas.parameters import Filters
from schemas.screen import Screen
from schemas.usable import KEPT, first_reason, guide_reasons, sequence_reasons

MOST_NEAR_MATCHES = 10


class PreparationError(UserError):
    """A screen and settings that leave nothing to fit, or a filter for something unknown."""


@dataclass(frozen=True)
class Selection:
    """What may enter the fit. Reasons are phrases, `KEPT` for what is kept."""

    sequences: pd.DataFrame
    """One row a column of the logFC table: sequence, cell_line, reason."""
    guides: pd.DataFrame
    """One row a guide of the guide map, index = guide label: gene, reason."""
    genes: pd.Series
    """Reason of every gene of guide map or RNA, index = gene label, sorted."""
    cell_lines: pd.Series
    """Reason of every cell line of sequence map or RNA, index = cell line, sorted."""
    rna: pd.DataFrame
    """RNA of the default profiles, kept genes x kept cell lines, as given."""


def select(screen: Screen, sequences: Sequence[str], library: str, filters: Filters) -> Selection:
    """Return what may enter the fit; raise PreparationError where that is nothing."""
    by_sequence = select_sequences(screen.sequence_map, sequences, library)
    by_guide = select_guides(screen.guide_map)
    default = screen.profiles["is_default"] & screen.profiles["cell_line"].notna()
    rna = screen.rna[default.to_numpy()].set_axis(screen.profiles.loc[default, "cell_line"])

    screened_genes = by_guide["gene"].dropna()
    # Of two equal indices pandas returns the union unsorted, unless told to sort.
    genes = pd.Index(screened_genes).union(screen.rna.columns, sort=True).unique()
    screened_lines = screen.sequence_map["cell_line"].dropna()
    known_lines = screen.profiles["cell_line"].dropna()
    cell_lines = pd.Index(screened_lines).union(known_lines, sort=True).unique()
    asked_genes, asked_lines, of_lineage = _asked(filters, genes, cell_lines, screen.model_table)

    gene_reasons = first_reason(
        genes,
        {
            "not asked for": ~genes.isin(asked_genes),
            "no guide": ~genes.isin(screened_genes),
            "no usable guide": ~genes.isin(by_guide.loc[by_guide["reason"] == KEPT, "gene"]),
            "no RNA": ~genes.isin(rna.columns),
        },
    )
    usable = by_sequence.loc[by_sequence["reason"] == KEPT, "cell_line"]
    line_reasons = first_reason(
        cell_lines,
        {
            "not asked for": ~cell_lines.isin(asked_lines),
            "left out": cell_lines.isin(filters.without_cell_lines),
            "lineage not asked for": ~cell_lines.isin(of_lineage),
            "no sequence": ~cell_lines.isin(screened_lines),
            "no usable sequence": ~cell_lines.isin(usable),
            "no RNA": ~cell_lines.isin(rna.index),
        },
    )
    kept_genes = genes[gene_reasons == KEPT]
    kept_lines = cell_lines[line_reasons == KEPT]
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
    """Return gene and reason by guide; of a guide on several rows the first usable one counts."""
    rows = guide_map[["gene"]].assign(reason=guide_reasons(guide_map))
    rows = rows.set_index(pd.Index(guide_map["guide"]))
    usable_first = rows.iloc[np.argsort(rows["reason"] != KEPT, kind="stable")]
    return usable_first[~usable_first.index.duplicated()].sort_index()


def require_some(unit: str, reasons: pd.Series) -> None:
    """Raise PreparationError, with the reasons, where none is kept."""
    if not (reasons == KEPT).any():
        counts = ", ".join(f"{count} {why}" for why, count in reasons.value_counts().items())
        raise PreparationError(
            f"expected at least one {unit} to fit, all {len(reasons)} are lost ({counts}); "
            "widen the filters, or check that the tables belong together"
        )


def with_reason_of(items: pd.DataFrame, column: str, owners: pd.Series, unit: str) -> pd.DataFrame:
    """Give kept items the reason of the gene or cell line they belong to, where it has one."""
    theirs = items[column].map(owners).fillna(KEPT)
    lost = (items["reason"] == KEPT) & (theirs != KEPT)
    return items.assign(reason=items["reason"].where(~lost, f"{unit}: " + theirs))


def _asked(
    filters: Filters, genes: pd.Index, cell_lines: pd.Index, model_table: pd.DataFrame | None
) -> tuple[Iterable[str], Iterable[str], Iterable[str]]:
    """Return genes, cell lines and lines of the lineages asked for; everything where none is."""
    if filters.lineages and model_table is None:
        raise PreparationError(
            "lineages: expected a model table, the dataset has none; put Model.csv into its "
            "folder, or add `model_table:` to it"
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
        "genes": (filters.genes, names),
        "cell_lines": (filters.cell_lines, lines),
        "without_cell_lines": (filters.without_cell_lines, lines),
        "lineages": (filters.lineages, {name: [name] for name in lineage.unique()}),
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

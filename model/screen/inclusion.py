"""The inclusion table of a fit: every sequence, guide, gene and line, and why it is excluded.

`model.comparison.data` compares two inclusion tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from model.screen.covariates import COPY_NUMBER
from model.screen.design import ScreenDesign
from model.screen.selection import Selection, with_reason_of
from schemas.formatting import label_line
from schemas.reports import PreparationReport, Unit
from schemas.tables.containers import Screen
from schemas.tables.eligibility import INCLUDED


@dataclass(frozen=True, eq=False)
class InclusionTable:
    """Four tables; in each, `reason` is the reason of an exclusion, empty for a fitted item."""

    sequences: pd.DataFrame
    """One row per column of the logFC table: sequence, cell_line, pdna_batch, passes_qc, reason."""
    guides: pd.DataFrame
    """One row per guide of the guide map: guide, gene, reason."""
    genes: pd.DataFrame
    """One row per gene of guide map or RNA: gene, copy_number (whether the table of copy number
    has the gene), reason."""
    cell_lines: pd.DataFrame
    """One row per cell line of sequence map or RNA: cell_line, cell_line_name, lineage, profile,
    copy_number_profile, reason; the default profiles of RNA and of copy number, or missing."""

    def label_lines(self, cell_lines: Iterable[str]) -> list[str]:
        """Return cell lines as users read them: `ACH-000004 (HEL)`, or the label alone."""
        if "cell_line_name" not in self.cell_lines:  # of an earlier version
            return [*cell_lines]
        known = self.cell_lines.dropna(subset="cell_line_name")
        names = dict(zip(known["cell_line"], known["cell_line_name"], strict=True))
        return [label_line(line, names.get(line, "")) for line in cell_lines]


def inclusion_table(
    screen: Screen, selection: Selection, design: ScreenDesign, report: PreparationReport
) -> InclusionTable:
    """Return the inclusion table of a design; `report` is that of its preparation."""
    genes = _with_late_reasons(selection.genes, report, "gene")
    lines = _with_late_reasons(selection.cell_lines, report, "cell line")

    sequences = selection.sequences.copy()
    by_sequence = screen.sequence_map.drop_duplicates("sequence").set_index("sequence")
    for column in ("pdna_batch", "passes_qc"):
        sequences[column] = sequences["sequence"].map(by_sequence[column])
    sequences = with_reason_of(sequences, "cell_line", lines, "cell line")

    guides = selection.guides.rename_axis("guide").reset_index()
    guides = with_reason_of(guides, "gene", genes, "gene")
    unmeasured = (guides["reason"] == INCLUDED) & ~guides["guide"].isin(design.guides)
    guides["reason"] = guides["reason"].where(~unmeasured, "no measurement")

    cell_lines = pd.DataFrame({"cell_line": lines.index, "reason": lines.to_numpy()})
    copies = screen.covariates.get(COPY_NUMBER)
    for column, profiles in (
        ("copy_number_profile", None if copies is None else copies.profiles),
        ("profile", screen.profiles),
    ):
        default = pd.Series(dtype=object)
        if profiles is not None:
            one = profiles[profiles["is_default"]].drop_duplicates("cell_line")
            default = one.set_index("cell_line")["profile"]
        cell_lines.insert(1, column, cell_lines["cell_line"].map(default))
    models = pd.DataFrame(columns=["lineage", "cell_line_name"], dtype=object)
    if screen.model_table is not None:
        models = screen.model_table.drop_duplicates("cell_line").set_index("cell_line")
    for column in ("lineage", "cell_line_name"):
        cell_lines.insert(1, column, cell_lines["cell_line"].map(models[column]))
    has_copies = genes.index.isin(() if copies is None else copies.values.columns)
    return InclusionTable(
        sequences=sequences[["sequence", "cell_line", "pdna_batch", "passes_qc", "reason"]],
        guides=guides[["guide", "gene", "reason"]],
        genes=pd.DataFrame(
            {"gene": genes.index, "copy_number": has_copies, "reason": genes.to_numpy()}
        ),
        cell_lines=cell_lines,
    )


def _with_late_reasons(reasons: pd.Series, report: PreparationReport, unit: Unit) -> pd.Series:
    """Add the reasons of `prepare`; its report lists all excluded genes and lines."""
    late = {
        label: exclusion.reason
        for exclusion in report.losses
        if exclusion.unit == unit
        for label in exclusion.examples
    }
    return reasons.where(
        reasons != INCLUDED, reasons.index.map(lambda label: late.get(label, INCLUDED))
    )

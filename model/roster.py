"""The roster of a fit: every sequence, guide, gene and line that came, and why it was left out.

What a later comparison needs to say which item is new, gone or changed. The counts by reason are
`model.preparation`; what becomes of two rosters is `model.data_changes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from model.design import ScreenDesign
from model.selection import Selection, with_reason_of
from schemas.reports import PreparationReport, Unit
from schemas.screen import Screen
from schemas.usable import KEPT


@dataclass(frozen=True, eq=False)
class Roster:
    """Four tables; in each, `reason` says why an item is not in the fit, and is empty if it is."""

    sequences: pd.DataFrame
    """One row a column of the logFC table: sequence, cell_line, pdna_batch, passes_qc, reason."""
    guides: pd.DataFrame
    """One row a guide of the guide map: guide, gene, reason."""
    genes: pd.DataFrame
    """One row a gene of guide map or RNA: gene, reason."""
    cell_lines: pd.DataFrame
    """One row a cell line of sequence map or RNA: cell_line, lineage, profile, reason; `profile` is
    the default RNA profile, missing where there is none."""


def roster_of(
    screen: Screen, selection: Selection, design: ScreenDesign, report: PreparationReport
) -> Roster:
    """Return the roster of a design; `report` is that of its preparation."""
    genes = _with_late_reasons(selection.genes, report, "gene")
    lines = _with_late_reasons(selection.cell_lines, report, "cell line")

    sequences = selection.sequences.copy()
    by_sequence = screen.sequence_map.drop_duplicates("sequence").set_index("sequence")
    for column in ("pdna_batch", "passes_qc"):
        sequences[column] = sequences["sequence"].map(by_sequence[column])
    sequences = with_reason_of(sequences, "cell_line", lines, "cell line")

    guides = selection.guides.rename_axis("guide").reset_index()
    guides = with_reason_of(guides, "gene", genes, "gene")
    unmeasured = (guides["reason"] == KEPT) & ~guides["guide"].isin(design.guides)
    guides["reason"] = guides["reason"].where(~unmeasured, "no measurement")

    profiles = screen.profiles
    default = profiles[profiles["is_default"]].drop_duplicates("cell_line").set_index("cell_line")
    cell_lines = pd.DataFrame({"cell_line": lines.index, "reason": lines.to_numpy()})
    cell_lines.insert(1, "profile", cell_lines["cell_line"].map(default["profile"]))
    lineage = pd.Series(dtype=object)
    if screen.model_table is not None:
        lineage = screen.model_table.drop_duplicates("cell_line").set_index("cell_line")["lineage"]
    cell_lines.insert(1, "lineage", cell_lines["cell_line"].map(lineage))
    return Roster(
        sequences=sequences[["sequence", "cell_line", "pdna_batch", "passes_qc", "reason"]],
        guides=guides[["guide", "gene", "reason"]],
        genes=pd.DataFrame({"gene": genes.index, "reason": genes.to_numpy()}),
        cell_lines=cell_lines,
    )


def _with_late_reasons(reasons: pd.Series, report: PreparationReport, unit: Unit) -> pd.Series:
    """Add what only the measurements decided; of genes and lines the report names every one."""
    late = {
        label: loss.reason for loss in report.losses if loss.unit == unit for label in loss.examples
    }
    return reasons.where(reasons != KEPT, reasons.index.map(lambda label: late.get(label, KEPT)))

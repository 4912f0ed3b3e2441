"""Results as notebooks show them: a validation and a comparison."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from schemas.comparison import Comparison
from schemas.reports import ValidationReport
from tasks.reports.comparison import comparison_markdown
from tasks.reports.validation import validation_markdown


@dataclass(frozen=True)
class Validation:
    """The problems of the tables of a release."""

    report: ValidationReport
    """The tables read, and the problems: `errors` and `warnings`."""
    note: str
    """Why the default model cannot be fitted, if that is so; else empty."""

    @property
    def passed(self) -> bool:
        """Whether the tables can be fitted."""
        return self.report.passed

    def _repr_markdown_(self) -> str:
        return validation_markdown(self.report)


@dataclass(frozen=True, eq=False)
class Compared:
    """What changed from fit A to fit B, and why."""

    run_id: str
    """Run of the comparison in MLflow."""
    run_location: str
    """Command and address, or address, that show the run in MLflow."""
    comparison: Comparison
    """Differences in data, settings, hyperparameters and hits."""
    genes: pd.DataFrame
    """One row per gene of both fits (docs/columns.md)."""
    cell_lines: pd.DataFrame
    """One row per cell line of either fit."""

    def _repr_markdown_(self) -> str:
        return comparison_markdown(self.comparison, self.genes, self.run_location)

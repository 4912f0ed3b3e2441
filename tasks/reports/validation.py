"""Renders a validation report as Markdown, for Prefect and the terminal, and `validation.json`."""

from __future__ import annotations

from pathlib import Path

from schemas.formatting import escape_unprintable
from schemas.reports import Finding, ValidationReport
from tasks.reports.markdown import as_text, markdown_head, markdown_row, markdown_table
from tasks.runtime.files import write_atomic

MAX_SHOWN = 3
FEW = 3
"""Findings that need no overview."""


def validation_markdown(report: ValidationReport) -> str:
    """Return the tables read and the findings: an overview of many, then each finding in full.

    A long table counts as several tables. Prefect does not wrap lines in tables, so remedies would
    run off the page.
    """
    findings = report.errors + report.warnings
    header = ("severity", "table", "column", "rule", "how many")
    files = (
        (one.table, one.layout, f"{one.n_rows:,}", f"{one.n_columns:,}", _file_name(one.location))
        for one in report.tables
    )
    lines = [f"## Validation of {report.dataset} {report.release}", "", _summary(report), ""]
    lines += [*markdown_table(("table", "layout", "rows", "columns", "file"), files), ""]
    if len(findings) > FEW:
        lines += markdown_head(header)
        lines += [markdown_row(_overview_row(finding)) for finding in findings]
    for finding in findings:
        lines += [
            "",
            f"### {_heading(finding)}",
            "",
            *(
                f"- **{what}**: {as_text(text)}"
                for what, text in {
                    "expected": finding.expected,
                    "found": _found(finding),
                    "what to do": finding.remedy,
                }.items()
            ),
        ]
    return "\n".join(lines) + "\n"


def _heading(finding: Finding) -> str:
    where = finding.table + (f", column {as_text(finding.column)}" if finding.column else "")
    return f"{finding.severity.capitalize()}: {finding.rule} ({where})"


def _overview_row(finding: Finding) -> tuple[str, ...]:
    rule = f"`{finding.rule}`"
    return finding.severity, finding.table, as_text(finding.column), rule, f"{finding.count:,}"


def write_validation(report: ValidationReport, folder: Path) -> Path:
    """Write `validation.json` into `folder` and return its path."""
    path = folder / "validation.json"
    write_atomic(path, f"{report.model_dump_json(indent=2)}\n".encode())
    return path


def _file_name(location: str) -> str:
    return escape_unprintable(location.rpartition("/")[2])


def _summary(report: ValidationReport) -> str:
    if report.passed:
        return f"Ready to fit; {len(report.warnings)} warning(s)."
    return f"Cannot be fitted: {len(report.errors)} error(s), {len(report.warnings)} warning(s)."


def _found(finding: Finding) -> str:
    shown = list(finding.found[:MAX_SHOWN])
    if finding.count > len(shown):
        shown.append(f"({finding.count:,} in all)")
    return "; ".join(shown)

"""Renders a validation report as terminal table, Markdown and `validation.json`."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from schemas.formatting import escape_unprintable
from schemas.reports import Finding, ValidationReport
from tasks.reports.markdown import as_text, markdown_head, markdown_row
from tasks.runtime.files import write_atomic

MAX_SHOWN = 3


def validation_table(report: ValidationReport) -> Table:
    """Return a table with one row per finding, errors first; readable at 100 columns."""
    table = Table(title=_title(report), caption=_caption(report), show_lines=True, expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("table, column", ratio=4, min_width=12, overflow="fold")
    table.add_column("rule, expected", ratio=6, overflow="fold")
    table.add_column("found", ratio=6, overflow="fold")
    table.add_column("what to do", ratio=5, overflow="fold")
    for finding in report.errors + report.warnings:
        # As Text: values of tables may look like rich's markup.
        table.add_row(
            Text(finding.severity, style="bold red" if finding.severity == "error" else "yellow"),
            Text(f"{finding.table.replace('+', ' + ')}\n{finding.column}".strip()),
            Text(f"{finding.rule}\n{finding.expected}"),
            Text(_found(finding, "\n")),
            Text(finding.remedy),
        )
    return table


def tables_read(report: ValidationReport) -> Table:
    """Return a table of the tables read: layout, size and file.

    A long table counts as several.
    """
    table = Table(box=None, pad_edge=False)
    for column in ("table", "layout"):
        table.add_column(column, no_wrap=True)
    for column in ("rows", "columns"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("file", overflow="fold")
    for one in report.tables:
        file = Text(escape_unprintable(one.location.rpartition("/")[2]))
        table.add_row(one.table, one.layout, f"{one.n_rows:,}", f"{one.n_columns:,}", file)
    return table


def validation_markdown(report: ValidationReport) -> str:
    """Return the findings as Markdown: an overview table, then each finding in full.

    Prefect does not wrap lines in tables, so remedies would run off the page.
    """
    findings = report.errors + report.warnings
    header = ("severity", "table", "column", "rule", "how many")
    lines = [f"## {_title(report)}", "", _caption(report), ""]
    if findings:
        lines += markdown_head(header)
        lines += [markdown_row(_overview_row(finding)) for finding in findings]
    for finding in findings:
        lines += [
            "",
            f"### {finding.rule} ({finding.table})",
            "",
            *(
                f"- **{what}**: {as_text(text)}"
                for what, text in {
                    "expected": finding.expected,
                    "found": _found(finding, "; "),
                    "what to do": finding.remedy,
                }.items()
            ),
        ]
    return "\n".join(lines) + "\n"


def _overview_row(finding: Finding) -> tuple[str, ...]:
    rule = f"`{finding.rule}`"
    return finding.severity, finding.table, as_text(finding.column), rule, f"{finding.count:,}"


def write_validation(report: ValidationReport, folder: Path) -> Path:
    """Write `validation.json` into `folder` and return its path."""
    path = folder / "validation.json"
    write_atomic(path, f"{report.model_dump_json(indent=2)}\n".encode())
    return path


def _title(report: ValidationReport) -> str:
    return f"Validation of {report.dataset} {report.release}"


def _caption(report: ValidationReport) -> str:
    if report.passed:
        return f"Ready to fit; {len(report.warnings)} warning(s)."
    return f"Cannot be fitted: {len(report.errors)} error(s), {len(report.warnings)} warning(s)."


def _found(finding: Finding, separator: str) -> str:
    shown = list(finding.found[:MAX_SHOWN])
    if finding.count > len(shown):
        shown.append(f"({finding.count:,} in all)")
    return separator.join(shown)

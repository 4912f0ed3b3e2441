"""How a validation report is shown and kept: table on the terminal, Markdown, `validation.json`.

What is in a report is decided in `schemas` and `tasks.validate`.
"""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from schemas.reports import Finding, ValidationReport
from tasks.markdown import as_text, markdown_head, markdown_row
from tasks.out_files import write_whole

MOST_SHOWN = 3


def validation_table(report: ValidationReport) -> Table:
    """Return the findings as a table, one row each, errors first; readable at 100 columns."""
    table = Table(title=_title(report), caption=_caption(report), show_lines=True, expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("table, column", ratio=4, min_width=12, overflow="fold")
    table.add_column("rule, what it asks", ratio=6, overflow="fold")
    table.add_column("found", ratio=6, overflow="fold")
    table.add_column("what to do", ratio=5, overflow="fold")
    for finding in report.errors + report.warnings:
        # As Text: what is found in a table may look like rich's markup.
        table.add_row(
            Text(finding.severity, style="bold red" if finding.severity == "error" else "yellow"),
            Text(f"{finding.table.replace('+', ' + ')}\n{finding.column}".strip()),
            Text(f"{finding.rule}\n{finding.expected}"),
            Text(_found(finding, "\n")),
            Text(finding.mend),
        )
    return table


def tables_read(report: ValidationReport) -> Table:
    """Return what was read, one row a table: in which layout, how large, from which file.

    A long table is read as several.
    """
    table = Table(box=None, pad_edge=False)
    for column in ("table", "layout"):
        table.add_column(column, no_wrap=True)
    for column in ("rows", "columns"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("file", overflow="fold")
    for one in report.tables:
        file = Text(one.location.rpartition("/")[2])
        table.add_row(one.table, one.layout, f"{one.n_rows:,}", f"{one.n_columns:,}", file)
    return table


def validation_markdown(report: ValidationReport) -> str:
    """Return the findings as Markdown, for an artifact of a flow run.

    A table of what there is, and below it each in words: Prefect does not break the lines of a
    table, and what to do would stand outside the page.
    """
    findings = report.errors + report.warnings
    header = ("severity", "table", "column", "rule", "how many")
    lines = [f"## {_title(report)}", "", _caption(report), ""]
    if findings:
        lines += markdown_head(header)
        lines += [markdown_row(_in_short(finding)) for finding in findings]
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
                    "what to do": finding.mend,
                }.items()
            ),
        ]
    return "\n".join(lines) + "\n"


def _in_short(finding: Finding) -> tuple[str, ...]:
    rule = f"`{finding.rule}`"
    return finding.severity, finding.table, as_text(finding.column), rule, f"{finding.count:,}"


def write_validation(report: ValidationReport, folder: Path) -> Path:
    """Write `validation.json` into `folder` and return its path."""
    path = folder / "validation.json"
    write_whole(path, f"{report.model_dump_json(indent=2)}\n".encode())
    return path


def _title(report: ValidationReport) -> str:
    return f"Validation of {report.dataset} {report.release}"


def _caption(report: ValidationReport) -> str:
    if report.passed:
        return f"May be fitted; {len(report.warnings)} warning(s)."
    return f"Must not be fitted: {len(report.errors)} error(s), {len(report.warnings)} warning(s)."


def _found(finding: Finding, separator: str) -> str:
    shown = list(finding.found[:MOST_SHOWN])
    if finding.count > len(shown):
        shown.append(f"({finding.count:,} in all)")
    return separator.join(shown)

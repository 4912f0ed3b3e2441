"""Reports as people see them: on a terminal, as Markdown, as JSON."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from schemas.reports import Finding, TableSummary, ValidationReport
from tasks.render_validation import (
    tables_read,
    validation_markdown,
    validation_table,
    write_validation,
)

ERROR = Finding(
    table="logfc+guide_map",
    rule="guide_in_map",
    severity="error",
    column="guide",
    expected="every guide of the logFC table in the guide map",
    found=tuple(f"line {line}: 'ACGTACGTACGTACGTACGT'" for line in range(2, 12)),
    count=1234,
    mend="take table and map from the same release",
)
WARNING = Finding(
    table="rna",
    rule="rna_high",
    severity="warning",
    expected="log2(TPM+1), seldom above 20",
    found=("line 2, A|B (1): 21 [red]",),
    count=1,
    mend="check the unit of these values",
)


def report(*findings: Finding) -> ValidationReport:
    return ValidationReport(dataset="Avana", release="24Q4", tables=(), findings=findings)


def shown(*findings: Finding) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(validation_table(report(*findings)))
    return capture.get()


def test_the_table_fits_a_hundred_columns_and_breaks_no_name():
    text = shown(WARNING, ERROR)
    assert max(map(len, text.splitlines())) <= 100
    for word in ("guide_in_map", "rna_high", "guide_map", "ACGTACGTACGTACGTACGT", "(1,234 in all)"):
        assert word in text
    assert text.index("guide_in_map") < text.index("rna_high")
    assert "Must not be fitted: 1 error(s), 1 warning(s)." in text


def test_what_was_read_is_told():
    of = {"layout": "current", "n_columns": 92, "sha256": "0"}
    logfc = TableSummary(table="logfc", location="s3://depmap/24Q4/A[red].csv", n_rows=3474, **of)
    console = Console(width=100)
    with console.capture() as capture:
        console.print(tables_read(report().model_copy(update={"tables": (logfc,)})))
    head, line = capture.get().splitlines()
    assert head.split() == ["table", "layout", "rows", "columns", "file"]
    assert line.split() == ["logfc", "current", "3,474", "92", "A[red].csv"]


def test_values_that_look_like_markup_are_shown_as_they_are():
    assert "[red]" in shown(WARNING)


def test_a_clean_report_says_so():
    assert "May be fitted; 0 warning(s)." in shown()
    assert validation_markdown(report()).count("|") == 0


def test_markdown_has_a_row_a_finding_and_says_below_what_to_do():
    lines = validation_markdown(report(WARNING, ERROR)).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert rows[2:] == [
        "| error | logfc+guide_map | guide | `guide_in_map` | 1,234 |",
        "| warning | rna |  | `rna_high` | 1 |",
    ]
    # A row is one line on the page however long it is: what is long stands below.
    assert max(map(len, rows)) < 80
    start = lines.index("### guide_in_map (logfc+guide_map)")
    assert lines[start + 2] == "- **expected**: every guide of the logFC table in the guide map"
    assert lines[start + 3].endswith("line 4: 'ACGTACGTACGTACGTACGT'; (1,234 in all)")
    assert lines[start + 4] == "- **what to do**: take table and map from the same release"


def test_json_holds_the_whole_report(tmp_path: Path):
    path = write_validation(report(ERROR, WARNING), tmp_path)
    assert path == tmp_path / "validation.json"
    assert ValidationReport.model_validate_json(path.read_text()) == report(ERROR, WARNING)

"""Hold a dataset against every rule of the contract while it is read once.

The rules are in `schemas`; reading is in `tasks.read_tables`, what a report looks like in
`tasks.render_validation`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from model.memory import Sizes, reading_bytes
from model.preparation import SufficientStatistics
from schemas.coverage_rules import check_coverage
from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.logfc_rules import LogfcChecks
from schemas.parameters import FitParameters
from schemas.reports import Finding, TableSummary, ValidationReport
from schemas.rna_rules import check_rna
from schemas.rules import check_across
from schemas.screen import LogfcSource, RawScreen, Screen, TableFormatError, TableSource
from schemas.tables import check_tables
from tasks.memory import require_memory
from tasks.read_tables import read_screen

MOST_LISTED = 12


@dataclass(frozen=True)
class ValidatedScreen:
    """What validation found and, where nothing forbids a fit, what the fit starts from."""

    report: ValidationReport
    screen: Screen | None
    statistics: SufficientStatistics | None


class InvalidDataset(UserError):
    """A dataset that breaks the contract; `report` says where."""

    def __init__(self, report: ValidationReport) -> None:
        lines = [
            f"  {finding.rule}: {finding.table}{finding.column and f', {finding.column}'}: "
            f"expected {finding.expected}, found {'; '.join(finding.found[:3]) or 'none'}"
            for finding in report.errors
        ]
        super().__init__(
            "\n".join(
                [
                    f"{report.dataset} {report.release} breaks {len(lines)} rule(s):",
                    *lines[:MOST_LISTED],
                    "`screenbayes validate` and the page `validation` say it all, and what to do.",
                ]
            )
        )
        self.report = report


def validate(
    dataset: Dataset,
    parameters: FitParameters,
    on_progress: Callable[[int], None] = lambda n_guides: None,
) -> ValidatedScreen:
    """Read all tables and report every broken rule at once.

    The logFC table is read once: its checks and, where the small tables are sound, the sufficient
    statistics take each block together. `on_progress` is told the number of guides read so far.

    Raises:
        NotEnoughMemory: the screen is larger than the memory of this machine.
        StorageError: the storage cannot be reached. What is wrong with the tables is reported.
        PreparationError: the filters leave nothing of a sound screen.
    """
    raw = read_screen(dataset)
    tables = check_tables(raw, dataset.library)
    sequences = None if raw.logfc is None else raw.logfc.sequences
    findings = [
        *map(_unreadable, raw.unreadable),
        *tables.findings,
        *(check_rna(raw.rna, dataset, parameters.contract) if raw.rna is not None else ()),
        *check_across(tables, sequences, dataset, parameters),
    ]
    screen = None if _has_error(findings) else tables.screen()
    statistics = None
    n_guides = 0
    if raw.logfc is not None:
        if screen is not None:
            statistics = SufficientStatistics(
                screen,
                raw.logfc.sequences,
                dataset.library,
                parameters.filters,
                parameters.preparation,
            )
            shape = statistics.count.shape
            sizes = Sizes(len(statistics.sum_of_squares), shape[1], shape[0])
            require_memory(reading_bytes(sizes), "reading the tables")
        checks = LogfcChecks(raw.logfc, tables, dataset.library, parameters.contract)
        findings += _read_logfc(raw.logfc, checks, statistics, parameters, on_progress)
        n_guides = checks.n_guides
    findings.sort(key=lambda finding: finding.severity)  # errors first, else in the order found
    # Only now: before the logFC table has been read, asking for its digest reads it through.
    report = ValidationReport(
        dataset=dataset.name,
        release=dataset.release,
        tables=tuple(_summary(source, shape) for source, shape in _shapes(raw, n_guides)),
        findings=tuple(findings),
    )
    if screen is None or not report.passed:
        return ValidatedScreen(report, None, None)
    return ValidatedScreen(report, screen, statistics)


def _read_logfc(
    logfc: LogfcSource,
    checks: LogfcChecks,
    statistics: SufficientStatistics | None,
    parameters: FitParameters,
    on_progress: Callable[[int], None],
) -> list[Finding]:
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="checks") as beside:
            for block in logfc.blocks():
                checked = beside.submit(checks.add, block)
                if statistics is not None:
                    statistics.add(block)
                checked.result()
                on_progress(checks.n_guides)
    except TableFormatError as error:
        return [*checks.findings(whole=False), _unreadable(error)]
    coverage = checks.coverage()
    return [
        *checks.findings(),
        *(check_coverage(coverage, parameters) if coverage is not None else ()),
    ]


def _unreadable(error: TableFormatError) -> Finding:
    return Finding(
        table=error.table,
        rule=error.rule,
        severity="error",
        expected="a table that can be read",
        found=(f"{error.location}: {error.message}",),
        count=1,
        mend=error.mend,
    )


def _has_error(findings: list[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _shapes(raw: RawScreen, n_guides: int) -> list[tuple[TableSource, tuple[int, int]]]:
    shapes = []
    if raw.logfc is not None:
        shapes.append((raw.logfc.source, (n_guides, len(raw.logfc.sequences))))
    if raw.rna is not None:
        shapes.append((raw.rna.source, raw.rna.values.shape))
    small = (
        raw.guide_map,
        raw.sequence_map,
        raw.model_table,
        raw.essential,
        raw.nonessential,
        raw.expression_addictions,
    )
    return shapes + [(table.source, table.frame.shape) for table in small if table is not None]


def _summary(source: TableSource, shape: tuple[int, int]) -> TableSummary:
    return TableSummary(
        table=source.table,
        location=source.location,
        layout=source.layout,
        n_rows=shape[0],
        n_columns=shape[1],
        sha256=source.sha256,
    )

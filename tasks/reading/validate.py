"""Checks a dataset against every rule of the contract in one pass over its tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from model.engines.memory import Sizes, reading_bytes
from model.screen.preparation import SufficientStatistics
from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.parameters import FitParameters
from schemas.reports import Finding, TableSummary, ValidationReport
from schemas.tables.containers import (
    LogfcSource,
    RawScreen,
    Screen,
    TableFormatError,
    TableSource,
)
from schemas.tables.copy_number import check_copy_number
from schemas.tables.coverage import GUIDES_PER_GENE, check_coverage
from schemas.tables.labels import check_labels
from schemas.tables.layouts import GENE_EFFECTS, is_gene_level, is_own
from schemas.tables.logfc import LogfcChecks
from schemas.tables.maps import check_tables
from schemas.tables.matching import match_labels
from schemas.tables.relations import check_across
from schemas.tables.rna import check_rna
from tasks.reading.screen import read_screen
from tasks.runtime.memory import require_memory

MAX_LISTED = 12
COVARIATE_CHECKS = {"copy_number": check_copy_number}
"""Check of each covariate's table."""


@dataclass(frozen=True)
class ValidatedScreen:
    """The report of a validation and, if it passed, the input of a fit."""

    report: ValidationReport
    screen: Screen | None
    statistics: SufficientStatistics | None


class InvalidDataset(UserError):
    """The dataset breaks rules, listed in `report`."""

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
                    *lines[:MAX_LISTED],
                    "`screenbayes validate` and the page `validation` list all, with remedies.",
                ]
            )
        )
        self.report = report


def validate(
    dataset: Dataset,
    parameters: FitParameters,
    progress: Callable[[int], None] = lambda n_guides: None,
) -> ValidatedScreen:
    """Read all tables and report every broken rule.

    The logFC table is read once: each block is checked and, if the small tables are valid, added to
    the sufficient statistics. `progress` receives the number of guides read so far.

    Raises:
        NotEnoughMemory: the screen does not fit into memory.
        StorageError: the storage cannot be reached.
        PreparationError: the filters exclude everything.
    """
    raw, matched = match_labels(read_screen(dataset))
    tables = check_tables(raw, dataset.library)
    sequences = None if raw.logfc is None else raw.logfc.sequences
    contract = parameters.contract
    findings = [
        *map(_unreadable, raw.unreadable),
        *raw.findings,
        *matched,
        *tables.findings,
        *(() if raw.rna is None else check_rna(raw.rna, dataset, contract)),
        *(
            finding
            for name, table in raw.covariates.items()
            for finding in COVARIATE_CHECKS[name](table, dataset, contract)
        ),
        *check_labels(raw, tables, sequences, dataset.library),
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
            sizes = Sizes(len(statistics.sum_of_squares), shape[1], shape[0], tuple(raw.covariates))
            require_memory(reading_bytes(sizes), "reading the tables")
        checks = LogfcChecks(raw.logfc, tables, dataset.library, parameters.contract)
        findings += _read_logfc(raw.logfc, checks, statistics, parameters, progress)
        n_guides = checks.n_guides
    findings = _of_given_tables(findings, raw)
    findings.sort(key=lambda finding: finding.severity)  # stable: errors first
    # After reading the logFC table: before, its digest would need a further pass.
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
    progress: Callable[[int], None],
) -> list[Finding]:
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="checks") as beside:
            for block in logfc.blocks():
                checked = beside.submit(checks.add, block)
                if statistics is not None:
                    statistics.add(block)
                checked.result()
                progress(checks.n_guides)
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
        remedy=error.remedy,
    )


def _of_given_tables(findings: list[Finding], raw: RawScreen) -> list[Finding]:
    """Name the long table in findings on the tables that were made of it."""
    parts = {"guide_map": raw.guide_map, "sequence_map": raw.sequence_map, "rna": raw.rna}
    made = {name for name, one in parts.items() if one and is_own(one.source.layout)}

    def given(names: str) -> str:
        return "+".join(
            dict.fromkeys("logfc" if name in made else name for name in names.split("+"))
        )

    findings = [finding.model_copy(update={"table": given(finding.table)}) for finding in findings]
    layout = raw.guide_map.source.layout if raw.guide_map else ""
    if is_gene_level(layout):
        findings = [finding for finding in findings if finding.rule != GUIDES_PER_GENE.name]
    if layout != GENE_EFFECTS:
        return findings
    return [  # genes are columns
        finding.model_copy(
            update={
                "found": tuple(re.sub(r"^line (?=\d)", "column ", one) for one in finding.found)
            }
        )
        if finding.table == "logfc"
        else finding
        for finding in findings
    ]


def _has_error(findings: list[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _shapes(raw: RawScreen, n_guides: int) -> list[tuple[TableSource, tuple[int, int]]]:
    shapes = []
    if raw.logfc is not None:
        shapes.append((raw.logfc.source, (n_guides, len(raw.logfc.sequences))))
    for table in filter(None, (raw.rna, *raw.covariates.values())):
        shapes.append((table.source, table.values.shape))
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

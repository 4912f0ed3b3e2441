"""Asks of a dataset what a fit asks before it computes, without computing."""

from __future__ import annotations

from collections.abc import Callable

from model.screen.identifiability import NotIdentified, require_identified
from model.screen.preparation import PreparationError, prepare
from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.parameters import Filters, FitParameters
from schemas.reports import Finding, ValidationReport
from tasks.reading.validate import ValidatedScreen, validate


def validate_for_fit(
    dataset: Dataset,
    parameters: FitParameters,
    progress: Callable[[int], None],
    *,
    is_chosen: bool = True,
) -> tuple[ValidationReport, str]:
    """Return the findings on all tables and, if they are sound, why a fit would be refused.

    That a screen does not identify the model is a finding if the model `is_chosen`. Else it is the
    second value, empty for others: it is the default, and another model may be meant.

    Raises:
        UserError: the engine does not support the model.
        NotEnoughMemory: the screen does not fit into memory.
        StorageError: the storage cannot be reached.
    """
    if parameters.engine != "auto":
        # Not above: it imports PyMC, which takes seconds.
        from model.engines.run import require_engine

        require_engine(parameters)
    try:
        tables = validate(dataset, parameters, progress)
    except PreparationError as error:  # of the filters: the tables are checked without them
        if parameters.filters == Filters():
            raise
        everything = parameters.model_copy(update={"filters": Filters()})
        report = validate(dataset, everything, progress).report
        return _with_refusal(report, parameters, error), ""
    try:
        _require_fit(dataset, parameters, tables)
    except UserError as error:
        if isinstance(error, NotIdentified) and not is_chosen:
            return tables.report, str(error)
        return _with_refusal(tables.report, parameters, error), ""
    return tables.report, ""


def _require_fit(dataset: Dataset, parameters: FitParameters, tables: ValidatedScreen) -> None:
    if tables.screen is None or tables.statistics is None:
        return
    units = dataset.rna_units, dataset.copy_number_units
    design, _ = prepare(tables.screen, tables.statistics, parameters, *units)
    require_identified(parameters.model, design)


def _with_refusal(
    report: ValidationReport, parameters: FitParameters, error: UserError
) -> ValidationReport:
    found, remedy = str(error).splitlines(), "correct each of them"
    if len(found) == 1:
        *found, remedy = found[0].rsplit("; ", 1)
    refusal = Finding(
        table="fit",
        rule="fit_refused",
        severity="error",
        expected=f"tables to which {parameters.model} can be fitted with these settings",
        found=tuple(found),
        count=len(found),
        remedy=remedy,
    )
    return report.model_copy(update={"findings": (*report.errors, refusal, *report.warnings)})

"""What every posterior goes through, however its draws came about. Only the order of calls.

From tables to a design, and from draws to a tracked run; the draws are the business of each flow.
"""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from model.checks import predictive_checks
from model.design import ScreenDesign
from model.identified import require_identified
from model.influence import with_influence
from model.roster import Roster, roster_of
from model.verdict import give_verdict
from schemas.dataset import Dataset
from schemas.parameters import FitParameters, Pictures
from schemas.reports import PreparationReport, ValidationReport
from schemas.trace import TraceOrigin
from tasks.artifacts import FitResults
from tasks.flow_runs import publish
from tasks.progress import tell
from tasks.render_result import result_markdown, reused_markdown
from tasks.render_validation import validation_markdown
from tasks.reproduce import key_versions
from tasks.steps import (
    champion_fit_task,
    compare_with_champion_task,
    complete_task,
    convergence_task,
    effects_task,
    fitted_cells_task,
    furthest_out_task,
    influence_task,
    known_genes_task,
    loo_task,
    model_graph_task,
    pictures_task,
    prepare_task,
    quantities_task,
    report_task,
    summary_task,
    track_task,
    validate_task,
    wait_for_mlflow,
)
from tasks.stopwatch import Stopwatch
from tasks.tracked_fits import DamagedFit
from tasks.tracking_run import FitRun, TrackingError, where_to_look
from tasks.validate import InvalidDataset, ValidatedScreen


@dataclass(frozen=True)
class FitOutcome:
    """What a finished fit hands back."""

    run_id: str
    where_to_look: str
    """Command and address that show the run in MLflow."""
    results: FitResults | None
    """None where the fit was there already."""


@dataclass(frozen=True, eq=False)
class PreparedScreen:
    """A dataset that has been validated and prepared for a fit."""

    dataset: Dataset
    parameters: FitParameters
    validation: ValidationReport
    preparation: PreparationReport
    design: ScreenDesign
    roster: Roster
    expression_addictions: tuple[str, ...]
    """Genes known beforehand to have negative slopes; empty where the dataset lists none."""


def validated(dataset: Dataset, parameters: FitParameters, stopwatch: Stopwatch) -> ValidatedScreen:
    """Return the validated tables; raise InvalidDataset where they may not be fitted."""
    tell(f"Validating {dataset.name} {dataset.release}")
    with stopwatch.stage("validate"):
        screen = validate_task(dataset, parameters)
    publish(validation_markdown(screen.report), key="validation")
    if screen.screen is None or screen.statistics is None:
        raise InvalidDataset(screen.report)
    return screen


def prepared(
    dataset: Dataset, parameters: FitParameters, screen: ValidatedScreen, stopwatch: Stopwatch
) -> PreparedScreen:
    """Return the design of validated tables; raise UserError where the model cannot have it."""
    assert screen.screen is not None and screen.statistics is not None
    with stopwatch.stage("prepare"):
        design, preparation = prepare_task(
            screen.screen, screen.statistics, parameters, dataset.rna_units
        )
    require_identified(parameters.model, design)  # before a run is begun
    roster = roster_of(screen.screen, screen.statistics.selection, design, preparation)
    return PreparedScreen(
        dataset,
        parameters,
        screen.report,
        preparation,
        design,
        roster,
        screen.screen.expression_addictions,
    )


def track_posterior(
    run: FitRun,
    sampled: xr.DataTree,
    screen: PreparedScreen,
    command: str,
    stopwatch: Stopwatch,
    origin: TraceOrigin | None = None,
    pictures: Pictures = "all",
) -> FitOutcome:
    """Judge the draws and store all that is known of them in the run.

    `sampled` is what an engine returns (`model.engines.run_engine`); `command` repeats the fit;
    `origin` says where the draws come from, if they were not sampled here; without `pictures` the
    graph of the model is left out too.
    """
    design, parameters = screen.design, screen.parameters
    with stopwatch.stage("checks"):
        # mypy takes a DataTree for a coroutine: one of its bases is untyped.
        tree: xr.DataTree = complete_task(sampled, design, parameters)  # type: ignore[assignment]
        summary = summary_task(tree)
        convergence = convergence_task(tree, summary)
        quantities = quantities_task(tree, design, parameters)
        checks = furthest_out_task(predictive_checks(quantities), tree, design)
        loo = loo_task(tree, design, parameters)
        influence = influence_task(tree, design, parameters)
        fell_back = tree.attrs.get("fell_back", "")
        verdict = give_verdict(convergence, checks, parameters, fell_back)
    tell(f"Verdict: {verdict.status}")

    effects = effects_task(tree, design, parameters.calls)
    if influence is not None:
        effects = with_influence(effects, influence)
    listed = screen.expression_addictions
    results = FitResults(
        dataset=screen.dataset,
        parameters=parameters,
        validation=screen.validation,
        preparation=screen.preparation,
        convergence=convergence,
        checks=checks,
        loo=loo,
        verdict=verdict,
        effects=effects,
        known_genes=known_genes_task(effects, listed, parameters.seed) if listed else None,
        fitted_cells=fitted_cells_task(tree, design),
        summary=summary,
        tree=tree,
        design=design,
        roster=screen.roster,
        figures=pictures_task(tree, design, effects, quantities, pictures),
        model_graph_svg="" if pictures == "none" else model_graph_task(design, parameters),
        seconds=stopwatch.seconds,
        influence=influence,
        origin=origin,
    )
    since = None
    try:
        wait_for_mlflow(fitted=True)
        champion = champion_fit_task(run, screen.dataset.name)
        if champion is not None:
            since = compare_with_champion_task(results, run.run_id, champion)
    except (TrackingError, DamagedFit, OSError) as error:
        # The fit must not be lost, even where the working folder is gone (OSError): tracking keeps
        # its files where they can be had.
        tell(f"The report does without the champion. {error}")
    report_html = report_task(results, run.run_id, command, key_versions(), since)
    track_task(run, results, report_html, stopwatch.total)

    where = where_to_look(run)
    publish(result_markdown(results, where), key="result")
    tell(f"Tracked as run {run.run_id}: {where}")
    return FitOutcome(run.run_id, where, results)


def there_already(
    dataset: Dataset, parameters: FitParameters, earlier: FitRun, *, imported: bool = False
) -> FitOutcome:
    """Publish that the very fit is in MLflow, and hand back that one."""
    where = where_to_look(earlier)
    publish(reused_markdown(dataset, parameters, where, imported=imported), key="result")
    tell(f"This very fit is there already, nothing to do: run {earlier.run_id}: {where}")
    return FitOutcome(earlier.run_id, where, None)

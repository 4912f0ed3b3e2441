"""The flow that sets two fits side by side and tracks what changed. Only the order of calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
import xarray as xr
from prefect import flow
from pydantic import Field

from model.attribution import STEPS, PartFit, Route, attributed, route
from model.compare import compare_fits
from model.shared_screens import NotShared
from schemas.comparison import Comparison, ComparisonSettings
from schemas.errors import UserError
from schemas.parameters import form_title
from tasks.comparison_steps import (
    close_abandoned_task,
    data_changes_task,
    finished_comparison_task,
    open_comparison_task,
    open_part_task,
    read_comparison_task,
    read_fit_task,
    run_id_task,
    track_comparison_task,
    track_part_task,
)
from tasks.flow_runs import describe_run, is_over, publish, refused
from tasks.progress import tell
from tasks.render_comparison import comparison_markdown
from tasks.track_comparison import ComparedFits, comparison_name
from tasks.tracked_fits import TrackedFit
from tasks.tracking_run import FitRun, seen_to_its_end, where_to_look


@dataclass(frozen=True)
class ComparisonOutcome:
    """What a comparison hands back."""

    run_id: str
    where_to_look: str
    found: ComparedFits


class OneFit(UserError):
    """One fit under two names, where two are to be compared."""


class UnsoundPart(UserError):
    """A fit of a shared part that cannot be trusted."""


@flow(name="compare-runs", flow_run_name="{run_a} -> {run_b}")
def compare_runs(
    run_a: Annotated[str, Field(min_length=1, **form_title("Fit A"))],
    run_b: Annotated[str, Field(min_length=1, **form_title("Fit B"))],
    settings: Annotated[ComparisonSettings, Field(**form_title("Settings"))] = ComparisonSettings(),
    dataset: Annotated[str, Field(**form_title("Dataset"))] = "",
) -> ComparisonOutcome:
    """Compare two fits in MLflow: data, parameters, genes, hits.

    Args:
        run_a: The earlier fit, or the one to compare with: the id of its run, `latest`,
            `champion`, `challenger`, or a release, whose newest fit is taken.
        run_b: The other fit, named likewise; differences are this one less the other.
        settings: Which differences count.
        dataset: Of which dataset, where fits are not named by ids and there are several.

    Raises:
        UserError: There is no such run, or it is no finished fit.
        EnvironmentTrouble: MLflow cannot be reached.
    """
    try:
        a, b = run_id_task(run_a, dataset), run_id_task(run_b, dataset)
        if a == b:
            raise OneFit(
                f"{run_a} and {run_b} are one fit, run {a}; expected two: ids of runs, releases, "
                "latest, champion or challenger"
            )
        return _compare(a, b, settings)
    except UserError as error:
        return refused(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _compare(run_a: str, run_b: str, settings: ComparisonSettings) -> ComparisonOutcome:
    a, b = read_fit_task(run_a), read_fit_task(run_b)
    dataset = b.dataset if a.dataset == b.dataset else f"{a.dataset} -> {b.dataset}"
    comparison, genes = compare_fits(dataset, a.compared, b.compared, settings)
    describe_run(f"{dataset} {comparison_name(comparison)}", [dataset])
    run = finished_comparison_task(b.experiment_id, run_a, run_b, settings)
    if run is not None:
        found = read_comparison_task(run)
    else:
        close_abandoned_task(b.dataset, is_over)
        opened = open_comparison_task(b.experiment_id, comparison, settings)
        with seen_to_its_end(opened) as run:
            found = _explained(run, a, b, comparison, genes, settings)
            track_comparison_task(run, found)
    where, comparison = where_to_look(run), found.comparison
    publish(comparison_markdown(comparison, found.genes, where), key="comparison")
    tell(
        f"{comparison.n_genes_joined} genes in both; hits gained {len(comparison.hits_gained)}, "
        f"lost {len(comparison.hits_lost)}; run {run.run_id}: {where}"
    )
    return ComparisonOutcome(run.run_id, where, found)


def _explained(
    run: FitRun,
    a: TrackedFit,
    b: TrackedFit,
    comparison: Comparison,
    genes: pd.DataFrame,
    settings: ComparisonSettings,
) -> ComparedFits:
    """Add what differs in the data, and what the differences are due to."""
    unknown = genes.assign(**{f"due_to_{step}": np.nan for step in STEPS})
    if a.screen is None or b.screen is None:
        return ComparedFits(comparison, unknown)
    changes, lines = data_changes_task(a.screen, b.screen)
    comparison = comparison.model_copy(update={"data": changes})
    if not settings.attribute:
        return ComparedFits(comparison, unknown, lines)
    try:
        way = route(
            changes,
            lines,
            (a.screen.design, b.screen.design),
            (a.parameters, b.parameters),
        )
        between = list(_slopes_between(run, way, comparison.dataset))
    except (NotShared, UserError) as error:
        told = comparison.model_copy(update={"not_attributed": str(error)})
        return ComparedFits(told, unknown, lines)
    if not way.steps:
        return ComparedFits(comparison, unknown, lines)
    slopes = [a.compared.effects, *between, b.compared.effects]
    steps, genes = attributed(way, slopes, genes, settings.practical_difference)
    return ComparedFits(comparison.model_copy(update={"steps": steps}), genes, lines)


def _slopes_between(run: FitRun, way: Route, dataset: str) -> Iterator[pd.DataFrame]:
    """Fit what lies between A and B, each in a run of its own."""
    for number, part in enumerate(way.parts, 1):
        with seen_to_its_end(open_part_task(run, part, dataset)) as nested:
            yield _slopes(nested, part, f"fit {number} of {len(way.parts)}")


def _slopes(run: FitRun, part: PartFit, which: str) -> pd.DataFrame:
    """Return the gene effects of a part; raise UserError where it cannot be fitted."""
    # With PyMC, which most comparisons do without.
    from model.engines import cost
    from model.verdict import give_verdict
    from tasks.steps import convergence_task, effects_task, fit_task, summary_task

    design = part.screen()
    tell(f"Fitting {part.name} ({which}): {cost(design, part.parameters)}")
    # mypy takes a DataTree for a coroutine: one of its bases is untyped.
    tree: xr.DataTree = fit_task(design, part.parameters)  # type: ignore[assignment]
    measured = convergence_task(tree, summary_task(tree))
    effects: pd.DataFrame = effects_task(tree, design)
    verdict = give_verdict(measured, (), part.parameters)
    if verdict.status == "fail":
        raise UnsoundPart(f"the fit of {part.name} cannot be trusted: {verdict.reasons[0]}")
    track_part_task(run, part.name, design, effects, measured)
    return effects

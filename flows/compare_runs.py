"""The flow that compares two fits and tracks the comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
import xarray as xr
from prefect import flow
from pydantic import Field

from model.comparison.attribution import STEPS, PartFit, Route, attribute_differences, plan_refits
from model.comparison.data import data_changes
from model.comparison.fits import compare_fits
from model.comparison.shared_screens import NotShared
from schemas.comparison import Comparison, ComparisonSettings
from schemas.errors import UserError
from schemas.parameters import form_title
from tasks.reports.comparison import comparison_markdown
from tasks.runtime.prefect_runs import describe_run, is_terminal, publish, refused_state
from tasks.runtime.progress import in_flow_run, log_info
from tasks.tracking.comparison import (
    ComparedFits,
    comparison_name,
    finished_comparison,
    open_comparison,
    open_part,
    read_comparison,
    track_comparison,
    track_part,
)
from tasks.tracking.earlier_runs import close_abandoned
from tasks.tracking.find import run_id_of
from tasks.tracking.load import TrackedFit, read_fit
from tasks.tracking.run import FitRun, managed_run, run_location


@dataclass(frozen=True)
class ComparisonOutcome:
    """The result of the flow."""

    run_id: str
    run_location: str
    found: ComparedFits


class OneFit(UserError):
    """Both names refer to the same fit."""


class UnsoundPart(UserError):
    """The fit of a shared part failed its checks."""


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
        dataset: The dataset, where fits are not named by ids and there are several.

    Raises:
        UserError: There is no such run, or it is not a finished fit.
        ExternalServiceError: MLflow cannot be reached.
    """
    try:
        return compare_tracked(run_a, run_b, settings, dataset)
    except UserError as error:
        return refused_state(error)  # type: ignore[return-value]  # Prefect raises what is in it


def compare_tracked(
    run_a: str, run_b: str, settings: ComparisonSettings, dataset: str = ""
) -> ComparisonOutcome:
    """Do what the flow `compare_runs` does, also without a Prefect server; raise what it raises."""
    a, b = run_id_of(run_a, dataset), run_id_of(run_b, dataset)
    if a == b:
        raise OneFit(
            f"{run_a} and {run_b} are the same fit, run {a}; expected two: ids of runs, "
            "releases, latest, champion or challenger"
        )
    return _compare(a, b, settings)


def _compare(run_a: str, run_b: str, settings: ComparisonSettings) -> ComparisonOutcome:
    a, b = read_fit(run_a), read_fit(run_b)
    dataset = b.dataset if a.dataset == b.dataset else f"{a.dataset} -> {b.dataset}"
    comparison, genes = compare_fits(dataset, a.compared, b.compared, settings)
    describe_run(f"{dataset} {comparison_name(comparison)}", [dataset])
    run = finished_comparison(b.experiment_id, run_a, run_b, settings)
    if run is not None:
        found = read_comparison(run)
    else:
        close_abandoned(b.dataset, is_terminal)
        opened = open_comparison(b.experiment_id, comparison, settings)
        with managed_run(opened) as run:
            found = _explained(run, a, b, comparison, genes, settings)
            track_comparison(run, found)
    where, comparison = run_location(run), found.comparison
    publish(comparison_markdown(comparison, found.genes, where), key="comparison")
    log_info(
        f"{comparison.n_genes_joined} genes in both; hits with the opposite sign "
        f"{len(comparison.hits_opposite_sign)}, gained {len(comparison.hits_gained)}, "
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
    """Add the differences in the data, and attribute the differences of slopes to them."""
    unknown = genes.assign(**{f"due_to_{step}": np.nan for step in STEPS})
    if a.screen is None or b.screen is None:
        return ComparedFits(comparison, unknown)
    changes, lines = data_changes(a.screen, b.screen)
    comparison = comparison.model_copy(update={"data": changes})
    if not settings.attribute:
        return ComparedFits(comparison, unknown, lines)
    try:
        plan = plan_refits(
            changes,
            lines,
            (a.screen.design, b.screen.design),
            (a.parameters, b.parameters),
        )
        between = list(_slopes_between(run, plan, comparison.dataset))
    except (NotShared, UserError) as error:
        comparison = comparison.model_copy(update={"not_attributed": str(error)})
        return ComparedFits(comparison, unknown, lines)
    if not plan.steps:
        return ComparedFits(comparison, unknown, lines)
    slopes = [a.compared.effects, *between, b.compared.effects]
    steps, genes = attribute_differences(plan, slopes, genes, settings.practical_difference)
    return ComparedFits(comparison.model_copy(update={"steps": steps}), genes, lines)


def _slopes_between(run: FitRun, plan: Route, dataset: str) -> Iterator[pd.DataFrame]:
    """Fit the screens between A and B, each in its own run."""
    for number, part in enumerate(plan.parts, 1):
        with managed_run(open_part(run, part, dataset)) as nested:
            yield _slopes(nested, part, f"fit {number} of {len(plan.parts)}")


def _slopes(run: FitRun, part: PartFit, which: str) -> pd.DataFrame:
    """Return the gene effects of a part; raise UserError where it cannot be fitted."""
    # With PyMC, which most comparisons do without.
    from model.diagnostics.convergence import assess_convergence
    from model.diagnostics.summary import summary_of
    from model.diagnostics.verdict import give_verdict
    from model.effects.gene_effects import gene_effects
    from model.engines.run import describe_cost
    from tasks.steps.fit import fit_task

    design = part.screen()
    log_info(f"Fitting {part.name} ({which}): {describe_cost(design, part.parameters)}")
    # Outside a flow, a task would start a server for itself.
    fit = fit_task if in_flow_run() else fit_task.fn
    tree: xr.DataTree = fit(design, part.parameters)
    measured = assess_convergence(tree, summary_of(tree))
    effects = gene_effects(tree, design)
    verdict = give_verdict(measured, (), part.parameters)
    if verdict.status == "fail":
        raise UnsoundPart(f"the fit of {part.name} cannot be trusted: {verdict.reasons[0]}")
    track_part(run, part.name, design, effects, measured)
    return effects

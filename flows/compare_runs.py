"""The flow that sets two fits side by side and tracks what changed. Only the order of calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pandas as pd
from prefect import flow
from pydantic import Field

from model.compare import compare_fits
from schemas.comparison import Comparison, ComparisonSettings
from schemas.errors import UserError
from tasks.comparison_steps import (
    finished_comparison_task,
    open_comparison_task,
    read_fit_task,
    run_id_task,
    track_comparison_task,
)
from tasks.flow_runs import describe_run, publish, refused
from tasks.progress import tell
from tasks.render_comparison import comparison_markdown
from tasks.track_comparison import comparison_name
from tasks.tracked_fits import TrackedFit
from tasks.tracking_run import seen_to_its_end, where_to_look


@dataclass(frozen=True)
class ComparisonOutcome:
    """What a comparison hands back."""

    run_id: str
    where_to_look: str
    comparison: Comparison
    genes: pd.DataFrame
    """One row a gene of both fits (`model.compare`)."""


@flow(name="compare-runs", flow_run_name="{run_a} -> {run_b}")
def compare_runs(
    run_a: Annotated[str, Field(min_length=1)],
    run_b: Annotated[str, Field(min_length=1)],
    settings: ComparisonSettings = ComparisonSettings(),
    dataset: str = "",
) -> ComparisonOutcome:
    """Compare two fits in MLflow: data, parameters, genes, hits.

    Args:
        run_a: The earlier fit, or the one to compare with: the id of its run, `latest`,
            `champion`, or a release, whose newest fit is taken.
        run_b: The other fit, named likewise; differences are this one less the other.
        settings: Which differences count.
        dataset: Of which dataset, where fits are not named by ids and there are several.

    Raises:
        UserError: There is no such run, or it is no finished fit.
        EnvironmentTrouble: MLflow cannot be reached.
    """
    try:
        return _compare(run_id_task(run_a, dataset), run_id_task(run_b, dataset), settings)
    except UserError as error:
        return refused(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _compare(run_a: str, run_b: str, settings: ComparisonSettings) -> ComparisonOutcome:
    a, b = read_fit_task(run_a), read_fit_task(run_b)
    comparison, genes = compare_fits(
        b.dataset if a.dataset == b.dataset else f"{a.dataset} -> {b.dataset}",
        a.summary,
        b.summary,
        (a.effects, b.effects),
        (_settings_of(a), _settings_of(b)),
        settings,
    )
    describe_run(f"{comparison.dataset} {comparison_name(comparison)}", [comparison.dataset])
    run = finished_comparison_task(b.experiment_id, run_a, run_b, settings)
    if run is None:
        opened = open_comparison_task(b.experiment_id, comparison, settings)
        with seen_to_its_end(opened) as run:
            track_comparison_task(run, comparison, genes)
    where = where_to_look(run)
    publish(comparison_markdown(comparison, genes, where), key="comparison")
    tell(
        f"{comparison.genes_joined} genes in both; hits gained {len(comparison.hits_gained)}, lost "
        f"{len(comparison.hits_lost)}; run {run.run_id}: {where}"
    )
    return ComparisonOutcome(run.run_id, where, comparison, genes)


def _settings_of(fit: TrackedFit) -> dict[str, str]:
    return {name: str(value) for name, value in fit.parameters.flat().items()}

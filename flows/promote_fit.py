"""The flow that puts a fit to the gate and makes it the champion if it passes.

Only the order of calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prefect import flow
from pydantic import Field

from model.compare import compare_fits
from model.gate import AgainstChampion, decide, nothing_to_decide
from schemas.errors import UserError
from schemas.gate import GateDecision, GateSettings
from schemas.parameters import form_title
from tasks.comparison_steps import read_fit_task, run_id_task
from tasks.flow_runs import describe_run, publish, refused
from tasks.progress import tell
from tasks.promotion import one_promotion_at_a_time
from tasks.promotion_steps import (
    champion_task,
    keep_decision_task,
    latest_calibration_task,
    move_champion_task,
    read_champion_task,
    read_preparation_task,
    registered_version_task,
)
from tasks.render_gate import gate_markdown
from tasks.tracked_fits import TrackedFit
from tasks.tracking_run import tracking_uri, where_to_find


@dataclass(frozen=True)
class PromotionOutcome:
    """What a promotion hands back."""

    where_to_look: str
    """Command and address that show the run of the candidate in MLflow."""
    decision: GateDecision


@flow(name="promote-fit", flow_run_name="promote {run}")
def promote_fit(
    run: Annotated[str, Field(min_length=1, **form_title("Fit"))],
    settings: Annotated[GateSettings, Field(**form_title("What the gate asks"))] = GateSettings(),
    dataset: Annotated[str, Field(**form_title("Dataset"))] = "",
) -> PromotionOutcome:
    """Make a fit the champion of its dataset, if the gate allows it.

    Args:
        run: The fit: the id of its run, `latest`, `challenger`, or a release, whose newest fit is
            taken.
        settings: What the gate asks for.
        dataset: Of which dataset, where the fit is not named by an id and there are several.

    Raises:
        UserError: There is no such run, or it is no finished fit.
        EnvironmentTrouble: MLflow cannot be reached, or somebody else moved the champion.
    """
    try:
        candidate = read_fit_task(run_id_task(run, dataset), screen=False)
        with one_promotion_at_a_time(candidate.dataset):
            return _promote(candidate, settings)
    except UserError as error:
        return refused(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _promote(candidate: TrackedFit, settings: GateSettings) -> PromotionOutcome:
    fit, dataset = candidate.compared.summary, candidate.dataset
    describe_run(f"promote {dataset} {fit.release} {fit.model}", [dataset, fit.release, fit.model])
    champion = champion_task(dataset)
    if champion is not None and champion.run_id == fit.run_id:
        decision = nothing_to_decide(dataset, fit, str(champion.version), settings)
    else:
        calibration = latest_calibration_task(fit.model, fit.engine)
        against = None
        if champion is not None:
            before = read_champion_task(champion)
            comparison, genes = compare_fits(
                dataset, before.compared, candidate.compared, settings.comparison
            )
            against = AgainstChampion(
                version=str(champion.version),
                champion=before.compared,
                comparison=comparison,
                genes=genes,
                preparation=read_preparation_task(fit.run_id),
            )
        decision = decide(dataset, candidate.compared, calibration, against, settings)
        version = registered_version_task(dataset, fit.run_id) if decision.passed else ""
        keep_decision_task(decision)
        if version:
            move_champion_task(decision, version)
    where = where_to_find(tracking_uri(), candidate.experiment_id, fit.run_id)
    publish(gate_markdown(decision, where), key="gate")
    tell(f"The gate: {decision.in_a_word}")
    return PromotionOutcome(where, decision)

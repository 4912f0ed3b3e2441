"""The flow that evaluates a fit for promotion and moves the alias `champion`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prefect import flow
from pydantic import Field

from model.comparison.fits import compare_fits
from model.comparison.promotion import AgainstChampion, evaluate_promotion, nothing_to_decide
from model.simulation.packaged_calibration import packaged_evidence
from schemas.errors import UserError
from schemas.parameters import form_title
from schemas.promotion import GateDecision, GateSettings
from tasks.reports.promotion import gate_markdown
from tasks.runtime.prefect_runs import describe_run, publish, refused_state
from tasks.runtime.progress import log_info
from tasks.tracking.calibration import latest_calibration
from tasks.tracking.find import run_id_of
from tasks.tracking.load import TrackedFit, read_fit
from tasks.tracking.promotion import (
    log_decision,
    one_promotion_at_a_time,
    read_champion,
    read_preparation,
)
from tasks.tracking.registry import champion_of, move_champion, registered_version
from tasks.tracking.store import tracking_uri, where_to_find


@dataclass(frozen=True)
class PromotionOutcome:
    """The result of the flow."""

    run_location: str
    """Command and address that show the run of the candidate in MLflow."""
    decision: GateDecision


@flow(name="promote-fit", flow_run_name="promote {run}")
def promote_fit(
    run: Annotated[str, Field(min_length=1, **form_title("Fit"))],
    settings: Annotated[GateSettings, Field(**form_title("Criteria"))] = GateSettings(),
    dataset: Annotated[str, Field(**form_title("Dataset"))] = "",
) -> PromotionOutcome:
    """Make a fit the champion of its dataset if it meets the criteria of promotion.

    Args:
        run: The fit: the id of its run, `latest`, `challenger`, or a release, whose newest fit is
            taken.
        settings: The criteria.
        dataset: Of which dataset, where the fit is not named by an id and there are several.

    Raises:
        UserError: There is no such run, or it is not a finished fit.
        ExternalServiceError: MLflow cannot be reached, or another promotion moved the champion.
    """
    try:
        return promote_tracked(run, settings, dataset)
    except UserError as error:
        return refused_state(error)  # type: ignore[return-value]  # Prefect raises what is in it


def promote_tracked(run: str, settings: GateSettings, dataset: str = "") -> PromotionOutcome:
    """Do what the flow `promote_fit` does, also without a Prefect server; raise what it raises."""
    candidate = read_fit(run_id_of(run, dataset), screen=False)
    with one_promotion_at_a_time(candidate.dataset):
        return _promote(candidate, settings)


def _promote(candidate: TrackedFit, settings: GateSettings) -> PromotionOutcome:
    fit, dataset = candidate.compared.summary, candidate.dataset
    describe_run(f"promote {dataset} {fit.release} {fit.model}", [dataset, fit.release, fit.model])
    champion = champion_of(dataset)
    if champion is not None and champion.run_id == fit.run_id:
        decision = nothing_to_decide(dataset, fit, str(champion.version), settings)
    else:
        of_fit = candidate.compared.settings
        tracked = latest_calibration(
            fit.model, fit.engine, settings.min_calibration_simulations, of_fit
        )
        packaged = packaged_evidence(fit.model, fit.engine, of_fit)
        against = None
        if champion is not None:
            before = read_champion(champion)
            comparison, genes = compare_fits(
                dataset, before.compared, candidate.compared, settings.comparison
            )
            against = AgainstChampion(
                version=str(champion.version),
                champion=before.compared,
                comparison=comparison,
                genes=genes,
                preparation=read_preparation(fit.run_id),
            )
        decision = evaluate_promotion(
            dataset, candidate.compared, tracked, packaged, against, settings
        )
        version = registered_version(dataset, fit.run_id) if decision.passed else ""
        log_decision(decision)
        if version:
            move_champion(decision, version)
    where = where_to_find(tracking_uri(), candidate.experiment_id, fit.run_id)
    publish(gate_markdown(decision, where), key="gate")
    log_info(f"The gate: {decision.outcome}")
    return PromotionOutcome(where, decision)

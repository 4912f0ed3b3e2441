"""Inputs and decision of a promotion in MLflow, and the lock against concurrent promotions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.entities.model_registry import ModelVersion
from sqlalchemy.engine import make_url

from schemas.errors import ExternalServiceError
from schemas.promotion import GateDecision
from schemas.reports import PreparationReport
from tasks.runtime.files import temporary_folder
from tasks.runtime.prefect_runs import concurrency_slot, server_is_shared
from tasks.tracking.artifacts import PREPARATION_FILE
from tasks.tracking.load import TrackedFit, damage_errors, read_fit
from tasks.tracking.store import NoSuchFit, tracking_store, tracking_uri, without_password

GATE_FILE = "gate.json"
LONGEST_PROMOTION = 600.0
"""Seconds to wait for another promotion."""


class PromotionLocked(ExternalServiceError):
    """Another process holds the lock of the champion."""


def read_champion(version: ModelVersion) -> TrackedFit:
    """Return the fit of the champion version; raise NoSuchFit or TrackingError."""
    try:
        return read_fit(str(version.run_id), screen=False)
    except NoSuchFit as error:
        raise NoSuchFit(
            f"the champion of {version.name}, version {version.version}, has no fit to compare "
            f"with: {error}; or remove the alias champion on the page of the model and promote "
            "again: the gate then requires no comparison"
        ) from None


def read_preparation(run_id: str) -> PreparationReport:
    """Return the preparation report of a finished fit; raise DamagedFit or TrackingError."""
    with tracking_store() as (client, uri), temporary_folder() as folder:
        path = client.download_artifacts(run_id, PREPARATION_FILE, folder)
        with damage_errors(run_id, without_password(uri)):
            return PreparationReport.model_validate_json(Path(path).read_text(encoding="utf-8"))


def log_decision(decision: GateDecision) -> None:
    """Store a decision in the run of the candidate: tag `gate`, gate.json. Raises TrackingError.

    Replaces an earlier decision.
    """
    run_id = decision.candidate.run_id
    with tracking_store() as (client, _):
        client.log_text(run_id, decision.model_dump_json(indent=2), GATE_FILE)
        client.set_tag(run_id, "gate", decision.outcome)


@contextmanager
def one_promotion_at_a_time(dataset: str) -> Iterator[None]:
    """Lock the champion of a dataset during the block.

    Uses a concurrency slot of a shared Prefect server, and a file lock beside a SQLite store.
    `tasks.tracking.registry.move_champion` detects conflicts of processes that share neither.
    Raises PromotionLocked.
    """
    uri = tracking_uri()
    with ExitStack() as held:
        if server_is_shared():
            held.enter_context(concurrency_slot(f"the champion of {dataset}"))
        if uri.startswith("sqlite:"):
            path = f"{make_url(uri).database}.champion.lock"
            try:
                held.enter_context(FileLock(path, timeout=LONGEST_PROMOTION))
            except Timeout:
                raise PromotionLocked(
                    f"another process has locked {path} for {LONGEST_PROMOTION:.0f} s; end it, "
                    "and promote again"
                ) from None
        yield

"""What a promotion reads of the candidate's run and leaves there, and whose turn it is.

Deciding is `model.gate`; the aliases are `tasks.registry`, calibrations `tasks.track_calibration`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.entities.model_registry import ModelVersion
from sqlalchemy.engine import make_url

from schemas.errors import EnvironmentTrouble
from schemas.gate import GateDecision
from schemas.reports import PreparationReport
from tasks.artifacts import PREPARATION_FILE
from tasks.flow_runs import server_is_shared, turn
from tasks.out_files import temporary_folder
from tasks.tracked_fits import NoSuchFit, TrackedFit, read_fit, whole_files
from tasks.tracking_run import connect, tracking_errors, tracking_uri, without_password

GATE_FILE = "gate.json"
LONGEST_PROMOTION = 600.0
"""Seconds to wait for another process to be done with a champion."""


class StillPromoting(EnvironmentTrouble):
    """Another process that does not let go of the champion."""


def read_champion(version: ModelVersion) -> TrackedFit:
    """Return the fit behind the version that is champion; raise NoSuchFit or TrackingError."""
    try:
        return read_fit(str(version.run_id), screen=False)
    except NoSuchFit as error:
        raise NoSuchFit(
            f"the champion of {version.name}, version {version.version}, has no fit to compare "
            f"with: {error}; or take the alias champion away on the page of the model, and promote "
            "again: the gate then asks for no comparison"
        ) from None


def read_preparation(run_id: str) -> PreparationReport:
    """Return what was left out of a finished fit; raise DamagedFit or TrackingError."""
    uri = tracking_uri()
    with tracking_errors(uri), temporary_folder() as folder:
        path = connect(uri).download_artifacts(run_id, PREPARATION_FILE, folder)
        with whole_files(run_id, without_password(uri)):
            return PreparationReport.model_validate_json(Path(path).read_text(encoding="utf-8"))


def keep_decision(decision: GateDecision) -> None:
    """Keep a decision with the run of the candidate: tag `gate`, gate.json. Raises TrackingError.

    The decision before, if the fit was put to the gate before, is replaced.
    """
    uri, run_id = tracking_uri(), decision.candidate.run_id
    with tracking_errors(uri):
        client = connect(uri)
        client.log_text(run_id, decision.model_dump_json(indent=2), GATE_FILE)
        client.set_tag(run_id, "gate", decision.in_a_word)


@contextmanager
def one_promotion_at_a_time(dataset: str) -> Iterator[None]:
    """Keep others from moving the champion of a dataset while a candidate is held against it.

    By a turn at the Prefect server, where there is one for several processes, and by a lock beside
    a SQLite store. Those that share neither are caught by `tasks.registry.move_champion`.
    Raises StillPromoting.
    """
    uri = tracking_uri()
    with ExitStack() as held:
        if server_is_shared():
            held.enter_context(turn(f"the champion of {dataset}"))
        if uri.startswith("sqlite:"):
            path = f"{make_url(uri).database}.champion.lock"
            try:
                held.enter_context(FileLock(path, timeout=LONGEST_PROMOTION))
            except Timeout:
                raise StillPromoting(
                    f"another process has held {path} for {LONGEST_PROMOTION:.0f} s: end it, "
                    "and promote again"
                ) from None
        yield

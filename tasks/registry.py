"""The registered model of a dataset: which of its versions the aliases stand for, and moving them.

Making a version is `tasks.logged_model`; whether the champion changes is decided in `model.gate`.
"""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from schemas.errors import EnvironmentTrouble, UserError
from schemas.gate import GateDecision
from tasks.tracking_run import connect, tracking_errors, tracking_uri, without_password

CHAMPION = "champion"
"""Alias of the version others are held against; only the gate moves it."""
CHALLENGER = "challenger"
"""Alias of the newest version."""
PREVIOUS_CHAMPION = "previous_champion"
"""Tag of a version that became champion: the version that was champion before, or `none`."""


class NotRegistered(UserError):
    """A fit without a version of the registered model."""


class ChampionMoved(EnvironmentTrouble):
    """A champion that was changed by somebody else while a candidate was held against it."""


def version_at(client: MlflowClient, dataset: str, alias: str) -> ModelVersion | None:
    """Return the version behind an alias of the registered model of a dataset, if there is one."""
    try:
        aliases = client.get_registered_model(dataset).aliases
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None
    number = aliases.get(alias)
    return None if number is None else client.get_model_version(dataset, str(number))


def champion_of(dataset: str) -> ModelVersion | None:
    """Return the version that is champion, if there is one; raise TrackingError."""
    uri = tracking_uri()
    with tracking_errors(uri):
        return version_at(connect(uri), dataset, CHAMPION)


def move_challenger(client: MlflowClient, dataset: str) -> None:
    """Let the alias stand for the newest version, whatever is registered at the same time."""
    at = 0
    while at != (newest := _newest(client, dataset)):
        client.set_registered_model_alias(dataset, CHALLENGER, str(newest))
        at = newest


def _newest(client: MlflowClient, dataset: str) -> int:
    found = client.search_model_versions(f"name = '{dataset}'", order_by=["version_number DESC"])
    return max(int(version.version) for version in found)


def withdraw(client: MlflowClient, dataset: str, run_id: str) -> None:
    """Delete the versions of a run that did not finish: nobody may load or promote them.

    `challenger` goes back to the newest version that is left.
    """
    wanted = f"name = '{dataset}' and run_id = '{run_id}'"
    versions = client.search_model_versions(wanted)
    for version in versions:
        client.delete_model_version(dataset, str(version.version))
    if versions and client.search_model_versions(f"name = '{dataset}'"):
        move_challenger(client, dataset)


def registered_version(dataset: str, run_id: str) -> str:
    """Return the version of the registered model that a fit is; raise NotRegistered."""
    uri = tracking_uri()
    with tracking_errors(uri):
        wanted = f"name = '{dataset}' and run_id = '{run_id}'"
        found = connect(uri).search_model_versions(wanted)
    if not found:
        raise NotRegistered(
            f"expected run {run_id} to be a version of the registered model {dataset!r}, MLflow at "
            f"{without_password(uri)} has none of it: it was deleted; fit the dataset again, and "
            "promote that run"
        )
    return str(max(int(version.version) for version in found))


def move_champion(decision: GateDecision, version: str) -> None:
    """Make a version the champion, after the decision that its fit passes the gate.

    The version it takes the place of is kept as its tag, to go back to. Raises ChampionMoved where
    the champion is no longer the one the candidate was held against, and TrackingError.
    """
    if not decision.passed:
        raise ValueError(f"the gate has {decision.in_a_word}")
    uri, dataset = tracking_uri(), decision.dataset
    with tracking_errors(uri):
        client = connect(uri)
        at_present = version_at(client, dataset, CHAMPION)
        if ("" if at_present is None else str(at_present.version)) != decision.champion_version:
            raise ChampionMoved(
                f"the champion of {dataset} was version {decision.champion_version or 'none'} when "
                f"version {version} was held against it, and is another by now: somebody else "
                "promoted meanwhile; promote again"
            )
        previous = decision.champion_version or "none"
        client.set_model_version_tag(dataset, version, PREVIOUS_CHAMPION, previous)
        client.set_registered_model_alias(dataset, CHAMPION, version)

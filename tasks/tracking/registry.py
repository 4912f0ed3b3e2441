"""The registered model of a dataset: its versions and the aliases `champion` and `challenger`."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from schemas.errors import ExternalServiceError, UserError
from schemas.promotion import GateDecision
from tasks.tracking.store import tracking_store, without_password

CHAMPION = "champion"
"""Alias of the version in use, with which others are compared; only promotion moves it."""
CHALLENGER = "challenger"
"""Alias of the newest version."""
PREVIOUS_CHAMPION = "previous_champion"
"""Tag of a version that became champion: the previous champion version, or `none`."""


class NotRegistered(UserError):
    """The fit has no version of the registered model."""


class ChampionMoved(ExternalServiceError):
    """The champion changed during a promotion."""


def version_at(client: MlflowClient, dataset: str, alias: str) -> ModelVersion | None:
    """Return the version with an alias of the registered model of a dataset, or None."""
    try:
        aliases = client.get_registered_model(dataset).aliases
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None
    number = aliases.get(alias)
    return None if number is None else client.get_model_version(dataset, str(number))


def champion_of(dataset: str) -> ModelVersion | None:
    """Return the champion version, or None; raise TrackingError."""
    with tracking_store() as (client, _):
        return version_at(client, dataset, CHAMPION)


def move_challenger(client: MlflowClient, dataset: str) -> None:
    """Move `challenger` to the newest version, also during concurrent registrations."""
    at = 0
    while at != (newest := _newest(client, dataset)):
        client.set_registered_model_alias(dataset, CHALLENGER, str(newest))
        at = newest


def _newest(client: MlflowClient, dataset: str) -> int:
    found = client.search_model_versions(f"name = '{dataset}'", order_by=["version_number DESC"])
    return max(int(version.version) for version in found)


def delete_run_versions(client: MlflowClient, dataset: str, run_id: str) -> None:
    """Delete the versions of an unfinished run, so that they cannot be loaded or promoted.

    Moves `challenger` to the newest remaining version.
    """
    wanted = f"name = '{dataset}' and run_id = '{run_id}'"
    versions = client.search_model_versions(wanted)
    for version in versions:
        client.delete_model_version(dataset, str(version.version))
    if versions and client.search_model_versions(f"name = '{dataset}'"):
        move_challenger(client, dataset)


def registered_version(dataset: str, run_id: str) -> str:
    """Return the version of a fit; raise NotRegistered or TrackingError."""
    with tracking_store() as (client, uri):
        wanted = f"name = '{dataset}' and run_id = '{run_id}'"
        found = client.search_model_versions(wanted)
    if not found:
        raise NotRegistered(
            f"expected run {run_id} to be a version of the registered model {dataset!r}, MLflow at "
            f"{without_password(uri)} has none: it was deleted; fit the dataset again, and "
            "promote that run"
        )
    return str(max(int(version.version) for version in found))


def move_champion(decision: GateDecision, version: str) -> None:
    """Make a version the champion after a positive decision.

    Stores the previous champion as a tag, for rollback. Raises ChampionMoved if the champion is no
    longer the one the candidate was compared with, and TrackingError.
    """
    if not decision.passed:
        raise ValueError(f"the decision of the gate is {decision.outcome}")
    dataset = decision.dataset
    with tracking_store() as (client, _):
        at_present = version_at(client, dataset, CHAMPION)
        if ("" if at_present is None else str(at_present.version)) != decision.champion_version:
            raise ChampionMoved(
                f"the champion of {dataset} was version {decision.champion_version or 'none'} when "
                f"version {version} was compared with it, and has changed since: another "
                "promotion ran meanwhile; promote again"
            )
        previous = decision.champion_version or "none"
        client.set_model_version_tag(dataset, version, PREVIOUS_CHAMPION, previous)
        client.set_registered_model_alias(dataset, CHAMPION, version)

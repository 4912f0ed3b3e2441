"""Finds a run by id, short id, release, `latest`, `champion` or `challenger`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.entities import Run

from schemas.suggestions import suggestion
from tasks.tracking.registry import CHALLENGER, CHAMPION, version_at
from tasks.tracking.store import NoSuchFit, existing_store, newest_runs, without_password
from tasks.tracking.ui import A_FIT

LATEST = "latest"
"""The newest finished fit."""
ALIASES = (CHAMPION, CHALLENGER)
"""The aliases of the registered model."""
RUN_ID = re.compile(r"[0-9a-f]{32}")
SHORT_ID = re.compile(r"[0-9a-f]{6,31}")
"""The first characters of a run id; six are more than a release in digits, such as `2024`."""
LABEL = re.compile(r"[^'\"]*")
"""Names allowed in a search; names of releases have no quotes."""


def run_id_of(name: str, dataset: str = "") -> str:
    """Return the id of a run.

    `name` is the id or its first six or more characters, `latest`, `champion`, `challenger`, or a
    release (its newest finished fit). Except for an id, `dataset` is required if the store has fits
    of several. Raises NoSuchFit, listing valid names, NoStore or TrackingError.
    """
    if RUN_ID.fullmatch(name):
        return name
    with existing_store() as (client, uri):
        where = f"MLflow at {without_password(uri)}"
        if SHORT_ID.fullmatch(name) and (found := _by_short_id(client, name, where)):
            return found
        dataset = dataset or _only_dataset(client, where)
        if name in ALIASES:
            return _run_at_alias(name, client, dataset, where)
        if found := _newest_fit(client, dataset, None if name == LATEST else name):
            return found
        fits = _fits_of(client, dataset)
        if not fits:
            datasets = _datasets(client)
            raise NoSuchFit(
                f"expected a dataset with finished fits, {where} has none of {dataset!r}"
                f"{suggestion(dataset, datasets)}{list_existing(datasets)}"
            )
        releases = [run.data.tags["release"] for run in fits]
        raise NoSuchFit(
            f"expected the id of a run, {LATEST}, {', '.join(ALIASES)} or a release of {dataset} "
            f"in {where}, got {name!r}{suggestion(name, releases)}{list_existing(releases)}"
        )


def _by_short_id(client: MlflowClient, start: str, where: str) -> str:
    """Return the id of the run, of any kind, that begins so; empty if none does."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = newest_runs(client, experiments, f"attributes.run_id LIKE '{start}%'", most=10)
    ids = [str(run.info.run_id) for run in runs]
    if len(ids) > 1:
        raise NoSuchFit(
            f"expected the beginning of one id, {len(ids)} runs in {where} begin with {start}: "
            f"{', '.join(ids)}; give more characters"
        )
    return ids[0] if ids else ""


def _run_at_alias(alias: str, client: MlflowClient, dataset: str, where: str) -> str:
    version = version_at(client, dataset, alias)
    if version is None:
        remedy = (
            "`screenbayes promote latest` sets it on a fit that passes the gate"
            if alias == CHAMPION
            else "a fit whose verdict is not fail gets it"
        )
        raise NoSuchFit(
            f"expected a registered model {dataset!r} with the alias {alias}, {where} has none; "
            f"{remedy}; or choose {LATEST} or a release"
        )
    return str(version.run_id)


def _only_dataset(client: MlflowClient, where: str) -> str:
    datasets = _datasets(client)
    if len(datasets) == 1:
        return datasets[0]
    if not datasets:
        raise NoSuchFit(f"expected a store with finished fits, {where} has none; fit a dataset")
    raise NoSuchFit(
        f"expected the name of a dataset: {where} has fits of "
        f"{len(datasets)}{list_existing(datasets)}; add --dataset"
    )


def _datasets(client: MlflowClient) -> list[str]:
    """Return the datasets with finished fits, with one search per dataset."""
    left = {each.experiment_id: each.name for each in client.search_experiments()}
    found = []
    while left and (newest := _search(client, list(left), most=1)):
        found.append(left.pop(newest[0].info.experiment_id))
    return sorted(found)


def _newest_fit(client: MlflowClient, dataset: str, release: str | None) -> str:
    """Return the id of the newest finished fit of a release, or of any (None); empty if none."""
    experiment = client.get_experiment_by_name(dataset)
    if experiment is None or (release is not None and not LABEL.fullmatch(release)):
        return ""
    only = "" if release is None else f" and tags.release = '{release}'"
    runs = _search(client, [experiment.experiment_id], only, most=1)
    return str(runs[0].info.run_id) if runs else ""


def _fits_of(client: MlflowClient, dataset: str) -> list[Run]:
    """Return the finished fits of a dataset, newest first."""
    experiment = client.get_experiment_by_name(dataset)
    return [] if experiment is None else _search(client, [experiment.experiment_id])


def _search(
    client: MlflowClient, experiments: list[str], only: str = "", most: int = 1000
) -> list[Run]:
    # Only fits have a key.
    wanted = f"attributes.status = 'FINISHED' and {A_FIT}{only}"
    return newest_runs(client, experiments, wanted, most)


def list_existing(names: Iterable[str]) -> str:
    """Return `; available: ...` with each name once; empty without names."""
    listed = ", ".join(dict.fromkeys(names))
    return f"; available: {listed}" if listed else ""

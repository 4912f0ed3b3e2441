"""Which run is meant: `latest`, `champion`, `challenger`, a release, or the id of a run in MLflow.

Reading the fit of a run is `tasks.tracked_fits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.entities import Run

from tasks.front_page import A_FIT
from tasks.registry import CHALLENGER, CHAMPION, version_at
from tasks.tracked_fits import NoSuchFit
from tasks.tracking_run import connect, newest_runs, tracking_errors, tracking_uri, without_password

LATEST = "latest"
"""The newest finished fit."""
ALIASES = (CHAMPION, CHALLENGER)
"""The fits behind the aliases of the registered model."""
RUN_ID = re.compile(r"[0-9a-f]{32}")
LABEL = re.compile(r"[^'\"]*")
"""What may stand in a search; no release has quotes in its name."""


def run_id_of(name: str, dataset: str = "") -> str:
    """Return the id of the run that is meant.

    `name` is the id of a run, `latest`, `champion`, `challenger`, or a release: then its newest
    finished fit.
    But for an id, `dataset` says of which; it may be left out where the store holds fits of one.
    Raises NoSuchFit, naming what there is, or TrackingError.
    """
    if RUN_ID.fullmatch(name):
        return name
    uri = tracking_uri()
    with tracking_errors(uri):
        client = connect(uri)
        where = f"MLflow at {without_password(uri)}"
        dataset = dataset or _only_dataset(client, where)
        if name in ALIASES:
            return _behind(name, client, dataset, where)
        found = _newest_fit(client, dataset, None if name == LATEST else name)
        if found is not None:
            return found
        fits = _fits_of(client, dataset)
        if not fits:
            raise NoSuchFit(
                f"expected a dataset with finished fits, {where} has none of {dataset!r}"
                f"{_there(_datasets(client))}"
            )
        raise NoSuchFit(
            f"expected the id of a run, {LATEST}, {', '.join(ALIASES)} or a release of {dataset}, "
            f"got {name!r}{_there(run.data.tags['release'] for run in fits)}"
        )


def _behind(alias: str, client: MlflowClient, dataset: str, where: str) -> str:
    version = version_at(client, dataset, alias)
    if version is None:
        mend = (
            "`screenbayes promote latest` gives it to a fit that passes the gate"
            if alias == CHAMPION
            else "a fit whose verdict is not fail gets it"
        )
        raise NoSuchFit(
            f"expected a registered model {dataset!r} with the alias {alias}, {where} has none; "
            f"{mend}; or take {LATEST} or a release"
        )
    return str(version.run_id)


def _only_dataset(client: MlflowClient, where: str) -> str:
    datasets = _datasets(client)
    if len(datasets) == 1:
        return datasets[0]
    raise NoSuchFit(
        f"expected to be told which dataset is meant: {where} holds fits of "
        f"{len(datasets)}{_there(datasets)}; name it (--dataset)"
    )


def _datasets(client: MlflowClient) -> list[str]:
    """Return the datasets with finished fits; a question each, not one an experiment."""
    left = {each.experiment_id: each.name for each in client.search_experiments()}
    found = []
    while left and (newest := _search(client, list(left), most=1)):
        found.append(left.pop(newest[0].info.experiment_id))
    return sorted(found)


def _newest_fit(client: MlflowClient, dataset: str, release: str | None) -> str | None:
    """Return the id of the newest finished fit of a release; of any, where that is not named."""
    experiment = client.get_experiment_by_name(dataset)
    if experiment is None or (release is not None and not LABEL.fullmatch(release)):
        return None
    only = "" if release is None else f" and tags.release = '{release}'"
    runs = _search(client, [experiment.experiment_id], only, most=1)
    return str(runs[0].info.run_id) if runs else None


def _fits_of(client: MlflowClient, dataset: str) -> list[Run]:
    """Return the finished fits of a dataset, the newest first."""
    experiment = client.get_experiment_by_name(dataset)
    return [] if experiment is None else _search(client, [experiment.experiment_id])


def _search(
    client: MlflowClient, experiments: list[str], only: str = "", most: int = 1000
) -> list[Run]:
    # Of the kinds of runs, only fits have a key.
    wanted = f"attributes.status = 'FINISHED' and {A_FIT}{only}"
    return newest_runs(client, experiments, wanted, most)


def _there(names: Iterable[str]) -> str:
    listed = ", ".join(dict.fromkeys(names))
    return f"; there are: {listed}" if listed else ""

"""Lists the runs of a store: fits, imported traces, comparisons, calibrations and trials."""

from __future__ import annotations

import pandas as pd
from mlflow.entities import Run

from schemas.column_catalog import RUNS
from schemas.suggestions import short_ids, suggestion
from tasks.tracking.find import list_existing
from tasks.tracking.store import NoSuchFit, Store, existing_store, newest_runs, without_password


def list_runs(dataset: str = "", most: int = 1000) -> tuple[pd.DataFrame, str]:
    """Return the newest runs of a store or of one dataset, and the address of the store.

    One row per run, at most `most`, newest first, with the columns of
    `schemas.column_catalog.RUNS`, without the intermediate fits of comparisons. Raises NoSuchFit,
    NoStore or TrackingError.
    """
    with existing_store() as store:
        runs, where = _newest(store, dataset, most), without_password(store.uri)
    short = short_ids([run.info.run_id for run in runs])
    rows = [{"run": name, **_row(run)} for name, run in zip(short, runs, strict=True)]
    return pd.DataFrame(rows, columns=list(RUNS)), where


def _newest(store: Store, dataset: str, most: int) -> list[Run]:
    """Return the newest runs that are no part of another."""
    names = {one.name: one.experiment_id for one in store.client.search_experiments()}
    if dataset and dataset not in names:
        datasets = sorted(name for name in names if name != "Default")  # MLflow's own
        raise NoSuchFit(
            f"expected a dataset with runs, MLflow at {without_password(store.uri)} has none of "
            f"{dataset!r}{suggestion(dataset, datasets)}{list_existing(datasets)}"
        )
    wanted = [names[dataset]] if dataset else list(names.values())
    # A search cannot ask for runs without a tag, and a comparison has up to five parts.
    found = newest_runs(store.client, wanted, "", most=min(6 * most, 5000))
    return [run for run in found if run.data.tags.get("kind") != "part"][:most]


def _row(run: Run) -> dict[str, object]:
    tags, measured = run.data.tags, run.data.metrics
    unfinished = "" if run.info.status == "FINISHED" else str(run.info.status).lower()
    imported = tags.get("imported_from", "")
    return {
        "run_id": run.info.run_id,
        "kind": tags.get("kind", f"import ({imported})" if imported else "fit"),
        "dataset": tags.get("dataset", ""),
        "release": tags.get("release", ""),
        "model": tags.get("model", ""),
        "engine": tags.get("engine", ""),
        "verdict": unfinished or tags.get("verdict", ""),
        "n_negative": measured.get("calls_negative"),
        "n_positive": measured.get("calls_positive"),
        "started": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
        "name": run.info.run_name,
    }

"""Exports a finished run as files: artifacts, and its tags, parameters and metrics."""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.entities import Run

from tasks.runtime.files import require_empty, require_room, temporary_folder
from tasks.tracking.artifacts import POSTERIOR_FILE
from tasks.tracking.load import damage_errors, get_run, require_undamaged
from tasks.tracking.store import (
    NoSuchFit,
    TrackingError,
    existing_store,
    tracking_errors,
    without_password,
)

RUN_FILE = "run.json"
TABLES = (".csv", ".parquet")


def export_run(
    run_id: str, folder: Path, *, draws: bool = True, tables_only: bool = False
) -> list[Path]:
    """Write the files of a finished run into `folder`, empty or new; return their paths.

    Adds `run.json` with id, name, tags, parameters and metrics. Without `draws` the posterior, by
    far the largest file, is omitted; with `tables_only` all but CSV and Parquet. The folder is
    written completely or not at all. Raises NoSuchFit, NoStore, FolderInUse, TrackingError, or
    OSError if the disk of the folder fails.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder.parent) as staging:
        whole = Path(staging, "export")
        whole.mkdir()
        run = _fetch(run_id, whole, draws=draws, tables_only=tables_only)
        about = {
            "run_id": run_id,
            "run_name": run.info.run_name,
            # Omit tags that MLflow sets for its UI.
            "tags": {
                tag: text for tag, text in run.data.tags.items() if not tag.startswith("mlflow.")
            },
            "params": run.data.params,
            "metrics": run.data.metrics,
        }
        text = json.dumps(about, indent=2, sort_keys=True)
        (whole / RUN_FILE).write_text(text + "\n", encoding="utf-8")
        require_empty(folder)  # another process may have filled it meanwhile
        whole.replace(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _fetch(run_id: str, whole: Path, *, draws: bool, tables_only: bool) -> Run:
    """Download the files of a finished run into the folder `whole`; return the run."""
    with existing_store() as (client, uri):
        run = get_run(client, run_id, without_password(uri))
        if run.info.status != "FINISHED":
            raise NoSuchFit(
                f"expected a finished run, {run_id} is {run.info.status}; choose another"
            )
        files = client.list_artifacts(run_id)
    size = 0
    try:
        with tracking_errors(uri):
            for file in files:
                is_table = file.path.endswith(TABLES)
                if is_table if tables_only else draws or file.path != POSTERIOR_FILE:
                    size = file.file_size or 0
                    client.download_artifacts(run_id, file.path, str(whole))
    except TrackingError:
        require_room(whole, size)  # MLflow does not report a full disk
        raise
    with damage_errors(run_id, without_password(uri)):
        for path in whole.rglob("*"):
            require_undamaged(path)
    return run

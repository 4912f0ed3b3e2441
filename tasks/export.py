"""A finished run as files in a folder: tables, posterior, pictures, and the run in figures.

Which run is meant is `tasks.named_fits`.
"""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.entities import Run

from tasks.artifacts import POSTERIOR_FILE
from tasks.out_files import require_empty, require_room, temporary_folder
from tasks.tracked_fits import NoSuchFit, get_run, require_whole, whole_files
from tasks.tracking_run import (
    TrackingError,
    connect,
    tracking_errors,
    tracking_uri,
    without_password,
)

RUN_FILE = "run.json"


def export_run(run_id: str, folder: Path, *, draws: bool = True) -> list[Path]:
    """Write the files of a finished run into `folder`, which is empty or not there; return them.

    Beside the artifacts: `run.json` with id, name, tags, parameters and metrics. Without `draws`
    the posterior, by far the largest file, is left out. The folder appears whole or not at all.
    Raises NoSuchFit, FolderInUse, TrackingError, or OSError where the disk of the folder refuses.
    """
    uri = tracking_uri()
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder.parent) as staging:
        whole = Path(staging, "export")
        whole.mkdir()
        run = _fetch(uri, run_id, whole, draws=draws)
        about = {
            "run_id": run_id,
            "run_name": run.info.run_name,
            # Those of MLflow itself are for its pages.
            "tags": {
                tag: text for tag, text in run.data.tags.items() if not tag.startswith("mlflow.")
            },
            "params": run.data.params,
            "metrics": run.data.metrics,
        }
        text = json.dumps(about, indent=2, sort_keys=True)
        (whole / RUN_FILE).write_text(text + "\n", encoding="utf-8")
        require_empty(folder)  # somebody may have filled it meanwhile
        whole.replace(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _fetch(uri: str, run_id: str, whole: Path, *, draws: bool) -> Run:
    """Put the files of a finished run into the folder `whole`; return the run."""
    with tracking_errors(uri):
        client = connect(uri)
        run = get_run(client, run_id, without_password(uri))
        if run.info.status != "FINISHED":
            raise NoSuchFit(f"expected a finished run, {run_id} is {run.info.status}; take another")
        files = client.list_artifacts(run_id)
    size = 0
    try:
        with tracking_errors(uri):
            for file in files:
                if draws or file.path != POSTERIOR_FILE:
                    size = file.file_size or 0
                    client.download_artifacts(run_id, file.path, str(whole))
    except TrackingError:
        require_room(whole, size)  # MLflow does not say it
        raise
    with whole_files(run_id, without_password(uri)):
        for path in whole.rglob("*"):
            require_whole(path)
    return run

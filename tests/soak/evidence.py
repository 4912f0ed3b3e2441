"""What is there when a soak has come to rest: flow runs, MLflow's runs and their files, leftovers.

Only collected; whether it is as it should be is `tests.soak.checks`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.integration.stack import Stack
from tests.soak import watch
from tests.soak.releases import Place


@dataclass
class Evidence:
    """All that the checks go by."""

    expected: dict[str, Place]
    """Fit key and place of every sound release that lies under the prefix."""
    ever: dict[str, Place]
    """The same of every sound content that was ever there."""
    fits: list[Run] = field(default_factory=list)
    """Runs of MLflow that are fits, the oldest first."""
    comparisons: list[Run] = field(default_factory=list)
    others: list[Run] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)
    """Paths of the artifacts by id of a finished fit."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """What is wrong with the files of a finished fit, by its id."""
    versions: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """(version, run id) by registered model."""
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    flow_runs: list[dict[str, Any]] = field(default_factory=list)
    taken_turns: dict[str, int] = field(default_factory=dict)
    """Slots taken, by concurrency limit."""
    open_leases: list[str] = field(default_factory=list)
    kills: int = 0
    """Processes of flow runs that were killed."""
    leftovers: list[str] = field(default_factory=list)
    """Files and folders in the worker's folder and in that for temporary ones."""

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.fits if run.info.status == "FINISHED"]


def collect(
    stack: Stack, temporary: Path, expected: dict[str, Place], ever: dict[str, Place]
) -> Evidence:
    """Look at everything."""
    found = Evidence(expected, ever)
    for run in _runs(stack.runs):
        if "fit_key" in run.data.tags:
            found.fits.append(run)
        elif run.data.tags.get("kind") == "comparison":
            found.comparisons.append(run)
        else:
            found.others.append(run)
    for run in found.finished:
        run_id = run.info.run_id
        found.files[run_id] = sorted(_paths(stack.runs, run_id))
        if wrong := _unreadable(stack.runs, run_id):
            found.unreadable[run_id] = wrong
    for model in stack.runs.search_registered_models():
        versions = stack.runs.search_model_versions(f"name = '{model.name}'")
        found.versions[model.name] = sorted((int(one.version), str(one.run_id)) for one in versions)
        found.aliases[model.name] = {name: int(at) for name, at in model.aliases.items()}
    found.flow_runs = watch.flow_runs(stack)
    limits = watch.asked(stack, "prefect", "SELECT name, active_slots FROM concurrency_limit_v2")
    found.taken_turns = {row["name"]: row["active_slots"] for row in limits}
    found.open_leases = sorted(_open_leases(stack.folder / "prefect-server"))
    found.leftovers = sorted(
        path.name for folder in (stack.folder / "work", temporary) for path in folder.iterdir()
    )
    return found


def _runs(client: MlflowClient) -> Iterator[Run]:
    for experiment in client.search_experiments():
        yield from client.search_runs(
            [experiment.experiment_id], max_results=5000, order_by=["attributes.start_time ASC"]
        )


def _paths(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for file in client.list_artifacts(run_id, folder):
        if file.is_dir:
            yield from _paths(client, run_id, file.path)
        else:
            yield file.path


def _unreadable(client: MlflowClient, run_id: str) -> str:
    """Open what people open; say what is wrong with it, if anything is."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            tables = [
                client.download_artifacts(run_id, f"gene_effects.{suffix}", folder)
                for suffix in ("parquet", "csv")
            ]
            parquet = pd.read_parquet(tables[0]).replace("", None)  # a CSV does not know them apart
            csv = pd.read_csv(tables[1])
            pd.testing.assert_frame_equal(parquet, csv, check_dtype=False)
            posterior = client.download_artifacts(run_id, "posterior.nc", folder)
            with closing(xr.open_datatree(posterior, engine="h5netcdf")) as tree:
                if not bool(tree["posterior"].to_dataset().notnull().all().to_array().all()):
                    return "posterior.nc has gaps"
        except Exception as error:  # whatever it is, it is reported
            return f"{type(error).__name__}: {error}"
    return ""


def _open_leases(home: Path) -> Iterator[str]:
    """Leases of turns in Prefect's folder, run out or not."""
    for file in (home / "concurrency_leases").glob("*.json"):
        kept = json.loads(file.read_text())
        if "expiration" in kept:
            left = (datetime.fromisoformat(kept["expiration"]) - datetime.now(UTC)).total_seconds()
            yield f"{file.stem} runs out in {left:.0f} s"

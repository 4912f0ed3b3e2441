"""What the tests ask of the MLflow store of a working folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run


def runs_in(folder: Path) -> list[Run]:
    """All runs of the store in `folder`, the newest first; none where there is no store."""
    store = folder / "mlflow.db"
    if not store.exists():
        return []
    client = MlflowClient(f"sqlite:///{store}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments))


def artifact(run: Run, name: str) -> Path:
    """Path of an artifact in the local store."""
    return Path(run.info.artifact_uri.removeprefix("file://")) / name


def summary_of(run: Run) -> pd.DataFrame:
    """summary.csv, by parameter."""
    return pd.read_csv(artifact(run, "summary.csv")).set_index("parameter")


def inputs_of(run: Run) -> list[DatasetInput]:
    """The datasets a run was given."""
    assert run.inputs is not None
    return list(run.inputs.dataset_inputs)

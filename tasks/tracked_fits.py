"""A finished fit as it stands in MLflow: names, numbers, table of genes, parameters.

How a fit got there is `tasks.track`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from schemas.comparison import FitSummary
from schemas.errors import UserError
from schemas.parameters import FitParameters
from tasks.artifacts import PARAMETERS_FILE
from tasks.tracking_run import connect, tracking_errors, tracking_uri, without_password

GENES_FILE = "gene_effects.parquet"


class NoSuchFit(UserError):
    """A run that is not there, or holds no finished fit."""


@dataclass(frozen=True, eq=False)
class TrackedFit:
    """A fit, read back."""

    summary: FitSummary
    dataset: str
    experiment_id: str
    effects: pd.DataFrame
    """Gene effects (`model.effects`)."""
    parameters: FitParameters


def read_fit(run_id: str) -> TrackedFit:
    """Read a finished fit; raise NoSuchFit or TrackingError."""
    uri = tracking_uri()
    where = without_password(uri)
    with tracking_errors(uri):
        client = connect(uri)
        run = get_run(client, run_id, where)
        if run.info.status != "FINISHED" or "fit_key" not in run.data.tags:
            raise NoSuchFit(
                f"expected a finished fit, run {run_id} is {run.info.status}"
                f"{'' if 'fit_key' in run.data.tags else ' and no fit of this version'}; "
                "fit the dataset again, or take another run"
            )
        with tempfile.TemporaryDirectory() as folder:
            effects = client.download_artifacts(run_id, GENES_FILE, folder)
            parameters = client.download_artifacts(run_id, PARAMETERS_FILE, folder)
            return TrackedFit(
                _summary(run),
                run.data.tags["dataset"],
                run.info.experiment_id,
                pd.read_parquet(effects),
                FitParameters.model_validate_json(Path(parameters).read_text(encoding="utf-8")),
            )


def get_run(client: MlflowClient, run_id: str, where: str) -> Run:
    """Return a run; raise NoSuchFit where there is none. `where` names the store."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        raise NoSuchFit(
            f"expected the id of a run in MLflow at {where}, there is no {run_id!r}; the page of a "
            "run shows its id, and MLFLOW_TRACKING_URI says which store is asked"
        ) from None


def _summary(run: Run) -> FitSummary:
    tags, metrics = run.data.tags, run.data.metrics
    return FitSummary(
        run_id=run.info.run_id,
        **{name: tags[name] for name in ("release", "model", "engine", "verdict", "data_digest")},
        n_genes=int(metrics["n_genes"]),
        n_cell_lines=int(metrics["n_cell_lines"]),
        n_measurements=int(metrics["n_measurements"]),
        log_evidence=metrics.get("log_evidence"),
    )

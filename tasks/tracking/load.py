"""Loads a finished fit from MLflow: settings, tables, metrics and its screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import h5py
import pandas as pd
import pyarrow.parquet as pq
import xarray as xr
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from pydantic import TypeAdapter

from model.comparison.data import FittedScreen
from model.comparison.fits import ComparedFit
from model.screen.design import design_of
from model.screen.inclusion import InclusionTable
from schemas.comparison import FitSummary
from schemas.errors import UserError, operating_system_error
from schemas.parameters import FitParameters
from schemas.reports import PredictiveCheck
from tasks.runtime.files import temporary_folder
from tasks.tracking.artifacts import (
    CELLS_FILE,
    CHECKS_FILE,
    DESIGN_FILE,
    EFFECTS_FILE,
    PARAMETERS_FILE,
    SCREEN_FOLDER,
    SUMMARY_FILE,
)
from tasks.tracking.store import NoSuchFit, existing_store, without_password

LONGEST_DAMAGE = 200
"""Longest excerpt of a library's message about a damaged file."""


class DamagedFit(NoSuchFit):
    """Files of a finished run are damaged or missing."""


@dataclass(frozen=True, eq=False)
class TrackedFit:
    """A fit loaded from MLflow."""

    dataset: str
    experiment_id: str
    parameters: FitParameters
    compared: ComparedFit
    screen: FittedScreen | None
    """None if not requested, or if the run is from a version that did not store screens."""


def read_fit(run_id: str, *, screen: bool = True) -> TrackedFit:
    """Return a finished fit; raise NoSuchFit, DamagedFit, NoStore or TrackingError.

    Without `screen`, the fitted data, by far the largest part, are not read.
    """
    with existing_store() as (client, uri), temporary_folder() as name:
        where = without_password(uri)
        run = get_run(client, run_id, where)
        if run.info.status != "FINISHED" or "fit_key" not in run.data.tags:
            raise NoSuchFit(
                f"expected a finished fit, run {run_id} is {run.info.status}"
                f"{'' if 'fit_key' in run.data.tags else ' and not a fit of this version'}; "
                "fit the dataset again, or choose another run"
            )
        stored = {file.path for file in client.list_artifacts(run_id)}
        if not screen:
            stored.discard(SCREEN_FOLDER)
        wanted = {EFFECTS_FILE, PARAMETERS_FILE, SUMMARY_FILE, CHECKS_FILE, CELLS_FILE}
        for path in (wanted | {SCREEN_FOLDER}) & stored:
            client.download_artifacts(run_id, path, name)
        with damage_errors(run_id, where):
            return _read(run, Path(name), stored)


def _read(run: Run, folder: Path, stored: set[str]) -> TrackedFit:
    """Read the files of a run from `folder`; `stored` are their names."""
    parameters = FitParameters.of_run((folder / PARAMETERS_FILE).read_text(encoding="utf-8"))
    return TrackedFit(
        dataset=run.data.tags["dataset"],
        experiment_id=run.info.experiment_id,
        parameters=parameters,
        compared=ComparedFit(
            summary=_summary(run),
            effects=pd.read_parquet(folder / EFFECTS_FILE),
            settings=settings_of(parameters),
            parameters=pd.read_csv(folder / SUMMARY_FILE),
            checks=TypeAdapter(tuple[PredictiveCheck, ...]).validate_json(
                (folder / CHECKS_FILE).read_bytes()
            ),
            elpd_by_cell=pd.read_parquet(folder / CELLS_FILE) if CELLS_FILE in stored else None,
        ),
        screen=_screen(folder / SCREEN_FOLDER) if SCREEN_FOLDER in stored else None,
    )


@contextmanager
def damage_errors(run_id: str, where: str) -> Iterator[None]:
    """Raise DamagedFit if reading a file of a run in the block fails."""
    try:
        yield
    except (ValueError, KeyError, OSError) as error:  # of Arrow, pandas, HDF5 and pydantic
        if isinstance(error, UserError) or operating_system_error(error) is not None:
            raise
        what = " ".join(str(error).split())[:LONGEST_DAMAGE]
        raise DamagedFit(
            f"expected the files of run {run_id} in MLflow at {where} as they were stored, one is "
            f"damaged or missing ({what}); restore it from a backup, fit the dataset again, or "
            "choose another run"
        ) from None


def require_undamaged(path: Path) -> None:
    """Raise OSError or ValueError if a Parquet or netCDF file is truncated."""
    if path.suffix == ".parquet":
        pq.read_metadata(path)
    elif path.suffix == ".nc":
        with h5py.File(path):
            pass


def settings_of(parameters: FitParameters) -> dict[str, str]:
    """Return every setting as text, by its name in MLflow."""
    return {name: str(value) for name, value in parameters.flat().items()}


def get_run(client: MlflowClient, run_id: str, where: str) -> Run:
    """Return a run; raise NoSuchFit if it does not exist. `where` names the store."""
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        raise NoSuchFit(
            f"expected the id of a run in MLflow at {where}, got {run_id!r}; the page of a run "
            "shows its id, and MLFLOW_TRACKING_URI sets the store"
        ) from None
    if run.info.lifecycle_stage == "deleted":
        raise NoSuchFit(
            f"run {run_id} in MLflow at {where} has been deleted; run `mlflow runs restore "
            f"--run-id {run_id}`, or choose another"
        )
    return run


def _screen(folder: Path) -> FittedScreen:
    with xr.open_dataset(folder / DESIGN_FILE, engine="h5netcdf") as stored:
        design = design_of(stored)
    tables = {
        table.name: pd.read_parquet(folder / f"{table.name}.parquet")
        for table in fields(InclusionTable)
    }
    return FittedScreen(design, InclusionTable(**tables))


def _summary(run: Run) -> FitSummary:
    tags, metrics = run.data.tags, run.data.metrics
    return FitSummary(
        run_id=run.info.run_id,
        **{name: tags[name] for name in ("release", "model", "engine", "verdict", "data_digest")},
        posterior_digest=tags.get("posterior_digest", ""),
        n_genes=int(metrics["n_genes"]),
        n_cell_lines=int(metrics["n_cell_lines"]),
        n_measurements=int(metrics["n_measurements"]),
        log_evidence=metrics.get("log_evidence"),
    )

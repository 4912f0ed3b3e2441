"""A finished fit as it stands in MLflow: names, numbers, table of genes, parameters, its screen.

How a fit got there is `tasks.track`.
"""

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

from model.compare import ComparedFit
from model.data_changes import FittedScreen
from model.design_dataset import design_of
from model.roster import Roster
from schemas.comparison import FitSummary
from schemas.errors import UserError, refused_by_the_machine
from schemas.parameters import FitParameters
from schemas.reports import PredictiveCheck
from tasks.artifacts import (
    CELLS_FILE,
    CHECKS_FILE,
    DESIGN_FILE,
    EFFECTS_FILE,
    PARAMETERS_FILE,
    SCREEN_FOLDER,
    SUMMARY_FILE,
)
from tasks.out_files import temporary_folder
from tasks.tracking_run import connect, tracking_errors, tracking_uri, without_password

LONGEST_DAMAGE = 200
"""Characters of what a library says of a damaged file."""


class NoSuchFit(UserError):
    """A run that is not there, or holds no finished fit."""


class DamagedFit(NoSuchFit):
    """A finished run whose files are damaged, or gone."""


@dataclass(frozen=True, eq=False)
class TrackedFit:
    """A fit, read back."""

    dataset: str
    experiment_id: str
    parameters: FitParameters
    compared: ComparedFit
    screen: FittedScreen | None
    """None in a run of before screens were kept, and where it was not asked for."""


def read_fit(run_id: str, *, screen: bool = True) -> TrackedFit:
    """Read a finished fit; raise NoSuchFit or TrackingError.

    Without `screen` what it was fitted to, by far the largest part, is left.
    """
    uri = tracking_uri()
    where = without_password(uri)
    with tracking_errors(uri), temporary_folder() as name:
        client = connect(uri)
        run = get_run(client, run_id, where)
        if run.info.status != "FINISHED" or "fit_key" not in run.data.tags:
            raise NoSuchFit(
                f"expected a finished fit, run {run_id} is {run.info.status}"
                f"{'' if 'fit_key' in run.data.tags else ' and no fit of this version'}; "
                "fit the dataset again, or take another run"
            )
        there = {file.path for file in client.list_artifacts(run_id)}
        if not screen:
            there.discard(SCREEN_FOLDER)
        wanted = {EFFECTS_FILE, PARAMETERS_FILE, SUMMARY_FILE, CHECKS_FILE, CELLS_FILE}
        for path in (wanted | {SCREEN_FOLDER}) & there:
            client.download_artifacts(run_id, path, name)
        with whole_files(run_id, where):
            return _read(run, Path(name), there)


def _read(run: Run, folder: Path, there: set[str]) -> TrackedFit:
    """Read what has been fetched of a run into `folder`; `there` is what it holds."""
    parameters = FitParameters.model_validate_json(
        (folder / PARAMETERS_FILE).read_text(encoding="utf-8")
    )
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
            elpd_by_cell=pd.read_parquet(folder / CELLS_FILE) if CELLS_FILE in there else None,
        ),
        screen=_screen(folder / SCREEN_FOLDER) if SCREEN_FOLDER in there else None,
    )


@contextmanager
def whole_files(run_id: str, where: str) -> Iterator[None]:
    """Raise DamagedFit where a file of a run that is read in the block is damaged or gone."""
    try:
        yield
    except (ValueError, KeyError, OSError) as error:  # of Arrow, pandas, HDF5 and pydantic
        if isinstance(error, UserError) or refused_by_the_machine(error) is not None:
            raise
        what = " ".join(str(error).split())[:LONGEST_DAMAGE]
        raise DamagedFit(
            f"expected the files of run {run_id} in MLflow at {where} as they were stored, one is "
            f"damaged or gone ({what}); put it back from a backup, fit the dataset again, or take "
            "another run"
        ) from None


def require_whole(path: Path) -> None:
    """Raise OSError or ValueError where a file of a table or of draws has lost its end."""
    if path.suffix == ".parquet":
        pq.read_metadata(path)
    elif path.suffix == ".nc":
        with h5py.File(path):
            pass


def settings_of(parameters: FitParameters) -> dict[str, str]:
    """Return every setting as text, by the name it has in MLflow."""
    return {name: str(value) for name, value in parameters.flat().items()}


def get_run(client: MlflowClient, run_id: str, where: str) -> Run:
    """Return a run; raise NoSuchFit where there is none. `where` names the store."""
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        raise NoSuchFit(
            f"expected the id of a run in MLflow at {where}, there is no {run_id!r}; the page of a "
            "run shows its id, and MLFLOW_TRACKING_URI says which store is asked"
        ) from None
    if run.info.lifecycle_stage == "deleted":
        raise NoSuchFit(
            f"run {run_id} in MLflow at {where} has been deleted; run `mlflow runs restore "
            f"--run-id {run_id}`, or take another"
        )
    return run


def _screen(folder: Path) -> FittedScreen:
    with xr.open_dataset(folder / DESIGN_FILE, engine="h5netcdf") as stored:
        design = design_of(stored)
    tables = {
        table.name: pd.read_parquet(folder / f"{table.name}.parquet") for table in fields(Roster)
    }
    return FittedScreen(design, Roster(**tables))


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

"""Fits and calibrations put into an MLflow store for the tests of what is done with them."""

from collections import Counter
from unittest import mock

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from model.fit import FitResults
from model.simulation.calibration import SimulationResult
from model.simulation.calibration_verdict import ecdf_table, judge_calibration, pit_table
from schemas.calibration import CalibrationSettings
from schemas.reports import Status
from tasks.tracking.calibration import open_calibration, track_calibration
from tasks.tracking.log_fit import track_fit
from tasks.tracking.run import FitRun, managed_run, open_run
from tests.tasks.fits import REPORT, SECONDS, dataset_of, effects_of, results_of

HITS = (-1.0, -0.5, 0.02)
"""Slopes of GENES; those further than 0.2 from 0 are hits."""


def track(results: FitResults) -> tuple[FitRun, Run]:
    with managed_run(open_run(results.dataset, results.parameters, results.data_digest)) as run:
        track_fit(run, results, REPORT, SECONDS)
    return run, run.client.get_run(run.run_id)


def only_run(client: MlflowClient) -> Run:
    (found,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return found


def fitted(
    slopes: tuple[float, ...] = HITS,
    *,
    dataset: str = "Avana sample",
    release: str = "24Q4",
    status: Status = "pass",
) -> FitRun:
    beta = np.array(slopes)
    results = results_of(
        dataset=dataset_of(dataset).model_copy(update={"release": release}),
        status=status,
        effects=effects_of(beta),
        summary=pd.DataFrame({"parameter": ["mu_alpha"], "mean": [0.1], "sd": [0.05]}),
    )
    return track(results)[0]


def calibrated(settings: CalibrationSettings, engines: Counter[str], *, sound: bool = True) -> str:
    """Track a calibration computed by these engines, so many simulations each; return its id."""
    n = engines.total()
    pits = (np.arange(n) + 0.5) / n if sound else np.full(n, 0.5)
    results = [
        SimulationResult(index, {"beta_g": pit}, {"beta_g": np.array([pit])}, engine)
        for index, (pit, engine) in enumerate(zip(pits, engines.elements(), strict=True))
    ]
    table, ecdf = pit_table(results), ecdf_table(results, settings)
    drawing = mock.patch("model.plots.as_bytes", return_value=b"")  # takes long
    with managed_run(open_calibration(settings)) as run, drawing:
        track_calibration(run, judge_calibration(settings, results, ecdf), table, ecdf, 1.0)
    return run.run_id

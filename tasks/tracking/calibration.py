"""The MLflow run of a calibration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from model.simulation.packaged_calibration import main_engine, priors_among
from schemas.calibration import ENOUGH_SIMULATIONS, CalibrationReport, CalibrationSettings
from schemas.promotion import CalibrationEvidence
from tasks.reports.calibration import calibration_markdown
from tasks.tracking.run import FitRun
from tasks.tracking.side_run import create_run, finish_run
from tasks.tracking.store import (
    experiment_of,
    newest_runs,
    tracking_errors,
    tracking_store,
)

EXPERIMENT = "calibration"


def calibration_name(settings: CalibrationSettings) -> str:
    """Return the name of the run: model, engine, and how the simulated screens differ."""
    drawn = "" if settings.simulated == settings.model else f" on screens of {settings.simulated}"
    return f"{settings.model} {settings.engine}{drawn}" + (
        " with copy number" if settings.copy_number else ""
    )


def open_calibration(settings: CalibrationSettings) -> FitRun:
    """Create the run with its tags and parameters; raise TrackingError."""
    with tracking_store() as (client, uri):
        experiment_id = experiment_of(client, EXPERIMENT, uri)
    run = create_run(
        experiment_id,
        calibration_name(settings),
        {
            "kind": "calibration",
            "model": settings.model,
            "simulated_model": settings.simulated,
            "engine": settings.engine,
        },
    )
    with tracking_errors(uri):
        for name, value in settings.flat().items():
            run.client.log_param(run.run_id, name, value)
    return run


def track_calibration(
    run: FitRun, report: CalibrationReport, pits: pd.DataFrame, ecdf: pd.DataFrame, seconds: float
) -> None:
    """Store a calibration in its run and set it FINISHED; raise TrackingError."""
    # Promotions and reports, which read these runs, do without what draws.
    from model.plots import as_bytes
    from model.plots.calibration import coverage_figure, ecdf_figure

    measures = {
        "n_simulations": report.n_simulations,
        "n_failed": report.n_failed,
        "n_troubled": report.n_troubled,
        "n_quantities_outside": sum(not one.inside for one in report.quantities),
        "seconds_total": seconds,
    }
    measures |= {
        f"coverage_{one.level * 100:.0f}_{one.variable}": one.coverage for one in report.coverage
    }
    measures |= {f"ecdf_{one.quantity}": one.largest_difference for one in report.quantities}
    page = calibration_markdown(report)
    files = {
        "calibration.json": report.model_dump_json(indent=2).encode(),
        "calibration.md": page.encode(),
        "pits.csv": pits.to_csv(index=False).encode(),
        "pits.parquet": pits.to_parquet(index=False),
        "plots/ecdf.png": as_bytes(ecdf_figure(ecdf, report), "png"),
        "plots/coverage.png": as_bytes(coverage_figure(report), "png"),
    }
    with tracking_errors(run.uri):
        run.client.set_tag(run.run_id, "verdict", report.verdict.status)
        # The run was created with the requested engine, possibly `auto`.
        run.client.set_tag(run.run_id, "engine", main_engine(report))
    finish_run(run, files, measures, page)


def latest_calibration(
    model: str,
    engine: str,
    min_simulations: int = ENOUGH_SIMULATIONS,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> CalibrationEvidence | None:
    """Return the latest conclusive calibration of a model, on its own screens, by an engine.

    Its priors are those of a fit with the flat `settings`. One of fewer than `min_simulations` that
    passed is not conclusive: it does not replace an earlier one, and is returned only where there
    is no other. Raises TrackingError.
    """
    inconclusive = None
    priors = priors_among(settings)
    with tracking_store() as (client, _):
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return None
        wanted = (
            "attributes.status = 'FINISHED' and tags.kind = 'calibration' and "
            f"tags.model = '{model}' and tags.simulated_model = '{model}' and "
            f"tags.engine = '{engine}'"
        )
        for run in newest_runs(client, [experiment.experiment_id], wanted):
            if priors_among(run.data.params) != priors:
                continue
            found = CalibrationEvidence.model_validate(
                {
                    "run_id": run.info.run_id,
                    "verdict": run.data.tags["verdict"],
                    "n_simulations": int(run.data.metrics["n_simulations"]),
                }
            )
            if found.is_conclusive(min_simulations):
                return found
            inconclusive = inconclusive or found
    return inconclusive

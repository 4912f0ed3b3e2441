"""The MLflow run of a calibration; the judgement is `model.calibration_verdict`."""

from __future__ import annotations

import pandas as pd

from model.plots import as_bytes
from model.plots.calibration import coverage_figure, ecdf_figure
from schemas.calibration import CalibrationReport, CalibrationSettings
from schemas.gate import CalibrationEvidence
from tasks.render_calibration import calibration_markdown
from tasks.side_runs import begin_run, conclude_run
from tasks.tracking_run import (
    FitRun,
    connect,
    experiment_of,
    newest_runs,
    tracking_errors,
    tracking_uri,
)

EXPERIMENT = "calibration"


def calibration_name(settings: CalibrationSettings) -> str:
    """Return what the run is called: model and engine, and whose screens if not its own."""
    drawn = "" if settings.simulated == settings.model else f" on screens of {settings.simulated}"
    return f"{settings.model} {settings.engine}{drawn}"


def open_calibration(settings: CalibrationSettings) -> FitRun:
    """Create the run with its tags and parameters; raise TrackingError."""
    uri = tracking_uri()
    with tracking_errors(uri):
        experiment_id = experiment_of(connect(uri), EXPERIMENT, uri)
    run = begin_run(
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
    """Store a calibration in its run and set that FINISHED; raise TrackingError."""
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
        # Begun under the engine that was asked for, which may have been `auto`.
        run.client.set_tag(
            run.run_id, "engine", max(report.engines, key=report.engines.__getitem__)
        )
    conclude_run(run, files, measures, page)


def latest_calibration(model: str, engine: str) -> CalibrationEvidence | None:
    """Return the latest finished calibration of a model, on its own screens, by an engine.

    Raises TrackingError.
    """
    uri = tracking_uri()
    with tracking_errors(uri):
        client = connect(uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return None
        wanted = (
            "attributes.status = 'FINISHED' and tags.kind = 'calibration' and "
            f"tags.model = '{model}' and tags.simulated_model = '{model}' and "
            f"tags.engine = '{engine}'"
        )
        for run in newest_runs(client, [experiment.experiment_id], wanted, most=1):
            return CalibrationEvidence.model_validate(
                {
                    "run_id": run.info.run_id,
                    "verdict": run.data.tags["verdict"],
                    "n_simulations": int(run.data.metrics["n_simulations"]),
                }
            )
    return None

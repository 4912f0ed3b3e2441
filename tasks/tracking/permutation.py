"""The MLflow run of a permutation trial, in the experiment of its dataset."""

from __future__ import annotations

import pandas as pd

from schemas.dataset import Dataset
from schemas.parameters import FitParameters, ModelName
from schemas.permutation import PermutationReport, TrialEvidence, TrialSettings
from schemas.run_catalog import TRIAL
from tasks.reports.permutation import permutation_markdown
from tasks.tracking.run import FitRun
from tasks.tracking.side_run import create_run, finish_run
from tasks.tracking.store import (
    experiment_of,
    newest_runs,
    params_of,
    tracking_errors,
    tracking_store,
)
from tasks.tracking.ui import describe_experiment


def open_trial(
    dataset: Dataset, parameters: FitParameters, settings: TrialSettings, digest: str
) -> FitRun:
    """Create the run with its tags and parameters; raise TrackingError.

    `digest` is that of the content of the tables.
    """
    with tracking_store() as (client, uri):
        experiment_id = experiment_of(client, dataset.name, uri)
        describe_experiment(client, experiment_id)
    run = create_run(
        experiment_id,
        _run_name(dataset.release, parameters.model, parameters.engine),
        {
            "kind": TRIAL,
            "dataset": dataset.name,
            "release": dataset.release,
            "model": parameters.model,
            "engine": parameters.engine,
            "data_digest": digest,
        },
    )
    with tracking_errors(run.uri):
        values = parameters.flat() | settings.flat()
        run.client.log_batch(run.run_id, params=params_of(values))
    return run


def _run_name(release: str, model: str, engine: str) -> str:
    return f"{release} {model} {engine} permuted"


def track_trial(
    run: FitRun, report: PermutationReport, counts: pd.DataFrame, seconds: float
) -> None:
    """Store a trial in its run and set it FINISHED; raise TrackingError."""
    # Promotions and reports, which read these runs, do without what draws.
    from model.plots import as_bytes
    from model.plots.permutation import permutation_figure

    measures: dict[str, float] = {
        "n_permutations": report.settings.permutations,
        "n_genes": report.n_genes,
        "n_genes_permuted": report.n_genes_permuted,
        "n_genes_callable": report.n_genes_callable,
        "n_cell_lines": report.n_cell_lines,
        "n_troubled": report.n_troubled,
        "seconds_total": seconds,
    }
    for one in report.methods:
        measures |= {
            f"n_false_{one.method}": one.n_false,
            f"n_other_{one.method}": one.n_other,
            f"false_share_{one.method}": one.false_share,
            f"false_share_low_{one.method}": one.low,
            f"false_share_high_{one.method}": one.high,
        }
    page = permutation_markdown(report)
    files = {
        "permutation_trial.json": report.model_dump_json(indent=2).encode(),
        "permutation_trial.md": page.encode(),
        "permutation_calls.csv": counts.to_csv(index=False).encode(),
        "permutation_calls.parquet": counts.to_parquet(index=False),
        "plots/false_calls.png": as_bytes(permutation_figure(counts, report), "png"),
    }
    with tracking_errors(run.uri):
        run.client.set_tag(run.run_id, "verdict", report.verdict.status)
        # The run was created with the requested engine, possibly `auto`.
        run.client.set_tag(run.run_id, "engine", report.engine)
        name = _run_name(report.release, report.model, report.engine)
        run.client.update_run(run.run_id, name=name)
    finish_run(run, files, measures, page)


def latest_trial(dataset: str, digest: str, model: ModelName) -> TrialEvidence | None:
    """Return the latest finished trial of a model on tables with this digest; raise TrackingError.

    `dataset` is the name of the dataset. Filters and settings may differ from those of a fit.
    """
    wanted = (
        f"attributes.status = 'FINISHED' and tags.kind = '{TRIAL}' and tags.model = '{model}' "
        f"and tags.data_digest = '{digest}'"
    )
    with tracking_store() as (client, _):
        experiment = client.get_experiment_by_name(dataset)
        if experiment is None:
            return None
        for run in newest_runs(client, [experiment.experiment_id], wanted, most=1):
            measured, settings = run.data.metrics, run.data.params
            return TrialEvidence(
                run_id=run.info.run_id,
                verdict=run.data.tags["verdict"],
                share=float(settings["share"]),
                n_permutations=int(measured["n_permutations"]),
                level=float(settings["calls.error_max"]),
                n_false=int(measured["n_false_lfsr"]),
                n_called=int(measured["n_false_lfsr"] + measured["n_other_lfsr"]),
                low=measured["false_share_low_lfsr"],
                high=measured["false_share_high_lfsr"],
            )
    return None

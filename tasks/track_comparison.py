"""The MLflow run of a comparison of two fits; it stands in their experiment, and is no fit itself.

What is compared is `model.compare`, the page about it `tasks.render_comparison`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
from mlflow.entities import Metric
from mlflow.utils.time import get_current_time_millis

from model.plots import as_bytes
from model.plots.comparison import slopes_figure
from schemas.comparison import Comparison, ComparisonSettings
from tasks.render_comparison import comparison_markdown
from tasks.tracking_run import FitRun, code_version, connect, tracking_errors, tracking_uri


def finished_comparison(
    experiment_id: str, run_a: str, run_b: str, settings: ComparisonSettings
) -> FitRun | None:
    """Return the run of this very comparison, if it is there; raise TrackingError."""
    wanted = " and ".join(
        f"{name} = '{value}'"
        for name, value in {
            "attributes.status": "FINISHED",
            "tags.kind": "comparison",
            "tags.run_a": run_a,
            "tags.run_b": run_b,
            "tags.settings": settings.model_dump_json(),
        }.items()
    )
    uri = tracking_uri()
    with tracking_errors(uri):
        client = connect(uri)
        for run in client.search_runs([experiment_id], wanted, max_results=1):
            return FitRun(client, uri, experiment_id, run.info.run_id, finished=True)
    return None


def open_comparison(
    experiment_id: str, comparison: Comparison, settings: ComparisonSettings
) -> FitRun:
    """Create the run; raise TrackingError."""
    uri = tracking_uri()
    a, b = comparison.a, comparison.b
    with tracking_errors(uri):
        client = connect(uri)
        created = client.create_run(
            experiment_id,
            run_name=comparison_name(comparison),
            tags={
                "kind": "comparison",
                "dataset": comparison.dataset,
                "release": b.release,
                "model": b.model,
                "run_a": a.run_id,
                "run_b": b.run_id,
                "settings": settings.model_dump_json(),
                "code_version": code_version(),
            },
        )
        return FitRun(client, uri, experiment_id, created.info.run_id)


def comparison_name(comparison: Comparison) -> str:
    """Return what the run is called: what differs, from A to B."""
    a, b = comparison.a, comparison.b
    model = b.model if a.model == b.model else f"{a.model} -> {b.model}"
    release = b.release if a.release == b.release else f"{a.release} -> {b.release}"
    return f"{release} {model}"


def track_comparison(run: FitRun, comparison: Comparison, genes: pd.DataFrame) -> None:
    """Store a comparison in its run and set that FINISHED; raise TrackingError."""
    now = get_current_time_millis()
    measures = {
        "n_genes_joined": comparison.genes_joined,
        "n_genes_lost": len(comparison.genes_lost),
        "n_genes_gained": len(comparison.genes_gained),
        "hits_lost": len(comparison.hits_lost),
        "hits_gained": len(comparison.hits_gained),
        "beta_correlation": comparison.beta_correlation,
        "largest_abs_z": comparison.largest_abs_z,
    }
    if comparison.log_evidence_difference is not None:
        measures["log_evidence_difference"] = comparison.log_evidence_difference
    page = comparison_markdown(comparison, genes)
    with tempfile.TemporaryDirectory() as name, tracking_errors(run.uri):
        folder = Path(name)
        genes.to_csv(folder / "comparison.csv", index=False)
        genes.to_parquet(folder / "comparison.parquet", index=False)
        (folder / "comparison.json").write_text(comparison.model_dump_json(indent=2), "utf-8")
        (folder / "comparison.md").write_text(page, "utf-8")
        picture = as_bytes(slopes_figure(genes, comparison), "png")
        (folder / "slopes.png").write_bytes(picture)
        run.client.log_artifacts(run.run_id, name)
        run.client.log_batch(
            run.run_id,
            metrics=[Metric(key, float(value), now, 0) for key, value in measures.items()],
        )
        run.client.set_tag(run.run_id, "mlflow.note.content", page)
        run.finish()

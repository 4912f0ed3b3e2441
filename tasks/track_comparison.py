"""The MLflow run of a comparison of two fits; it stands in their experiment, and is no fit itself.

What is compared is `model.compare`, the page about it `tasks.render_comparison`.
"""

from __future__ import annotations

import pandas as pd

from model.plots import as_bytes
from model.plots.comparison import slopes_figure
from schemas.comparison import Comparison, ComparisonSettings
from tasks.render_comparison import comparison_markdown
from tasks.side_runs import begin_run, conclude_run, finished_run
from tasks.tracking_run import FitRun


def finished_comparison(
    experiment_id: str, run_a: str, run_b: str, settings: ComparisonSettings
) -> FitRun | None:
    """Return the run of this very comparison, if it is there; raise TrackingError."""
    return finished_run(experiment_id, _of(run_a, run_b, settings))


def open_comparison(
    experiment_id: str, comparison: Comparison, settings: ComparisonSettings
) -> FitRun:
    """Create the run; raise TrackingError."""
    a, b = comparison.a, comparison.b
    about = {"dataset": comparison.dataset, "release": b.release, "model": b.model}
    return begin_run(
        experiment_id,
        comparison_name(comparison),
        about | _of(a.run_id, b.run_id, settings),
    )


def _of(run_a: str, run_b: str, settings: ComparisonSettings) -> dict[str, str]:
    """Return the tags that tell a comparison from all others."""
    return {
        "kind": "comparison",
        "run_a": run_a,
        "run_b": run_b,
        "settings": settings.model_dump_json(),
    }


def comparison_name(comparison: Comparison) -> str:
    """Return what the run is called: what differs, from A to B."""
    a, b = comparison.a, comparison.b
    model = b.model if a.model == b.model else f"{a.model} -> {b.model}"
    release = b.release if a.release == b.release else f"{a.release} -> {b.release}"
    return f"{release} {model}"


def track_comparison(run: FitRun, comparison: Comparison, genes: pd.DataFrame) -> None:
    """Store a comparison in its run and set that FINISHED; raise TrackingError."""
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
    files = {
        "comparison.csv": genes.to_csv(index=False).encode(),
        "comparison.parquet": genes.to_parquet(index=False),
        "comparison.json": comparison.model_dump_json(indent=2).encode(),
        "comparison.md": page.encode(),
        "slopes.png": as_bytes(slopes_figure(genes, comparison), "png"),
    }
    conclude_run(run, files, measures, page)

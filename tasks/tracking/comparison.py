"""The MLflow run of a comparison, in the experiment of the two fits.

Additional fits of the data both have in common are nested runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from model.comparison.attribution import PartFit
from model.screen.design import ScreenDesign
from schemas.column_catalog import COMPARED_LINES
from schemas.comparison import Comparison, ComparisonSettings
from schemas.reports import Convergence
from tasks.reports.comparison import comparison_markdown
from tasks.runtime.files import temporary_folder
from tasks.tracking.run import FitRun
from tasks.tracking.side_run import create_run, finish_run, finished_run
from tasks.tracking.store import tracking_errors

GENES_FILE, LINES_FILE, COMPARISON_FILE = (
    "comparison.parquet",
    "cell_lines.parquet",
    "comparison.json",
)

LONGEST_NAME = 100


@dataclass(frozen=True, eq=False)
class ComparedFits:
    """The results of a comparison."""

    comparison: Comparison
    genes: pd.DataFrame
    """One row per gene of both fits (`model.comparison`), with columns `due_to_...`."""
    cell_lines: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=list(COMPARED_LINES))
    )
    """One row per cell line of either fit; empty if a run has no screen."""

    def tables(self) -> Mapping[str, bytes]:
        """Return the results as files, by name."""
        return {
            "comparison.csv": self.genes.to_csv(index=False).encode(),
            GENES_FILE: self.genes.to_parquet(index=False),
            "cell_lines.csv": self.cell_lines.to_csv(index=False).encode(),
            LINES_FILE: self.cell_lines.to_parquet(index=False),
            COMPARISON_FILE: self.comparison.model_dump_json(indent=2).encode(),
        }


def finished_comparison(
    experiment_id: str, run_a: str, run_b: str, settings: ComparisonSettings
) -> FitRun | None:
    """Return the finished run of the same comparison, or None; raise TrackingError.

    Comparisons of earlier versions, which took hits with opposite signs for hits in both, do not
    count.
    """
    tags = _comparison_tags(run_a, run_b, settings)
    return finished_run(experiment_id, tags, with_metric="n_hits_opposite_sign")


def read_comparison(run: FitRun) -> ComparedFits:
    """Read a finished comparison; raise TrackingError."""
    with tracking_errors(run.uri), temporary_folder() as name:
        for file in (GENES_FILE, LINES_FILE, COMPARISON_FILE):
            run.client.download_artifacts(run.run_id, file, name)
        folder = Path(name)
        return ComparedFits(
            Comparison.model_validate_json((folder / COMPARISON_FILE).read_bytes()),
            pd.read_parquet(folder / GENES_FILE),
            pd.read_parquet(folder / LINES_FILE),
        )


def open_comparison(
    experiment_id: str, comparison: Comparison, settings: ComparisonSettings
) -> FitRun:
    """Create the run of a comparison; raise TrackingError."""
    a, b = comparison.a, comparison.b
    about = {"dataset": comparison.dataset, "release": b.release, "model": b.model}
    return create_run(
        experiment_id,
        comparison_name(comparison),
        about | _comparison_tags(a.run_id, b.run_id, settings),
    )


def open_part(comparison: FitRun, part: PartFit, dataset: str) -> FitRun:
    """Create the nested run of an intermediate fit between A and B."""
    return create_run(
        comparison.experiment_id,
        part.name,
        {
            "kind": "part",
            "dataset": dataset,
            "model": part.parameters.model,
            "mlflow.parentRunId": comparison.run_id,
        },
    )


def track_part(
    run: FitRun, name: str, design: ScreenDesign, effects: pd.DataFrame, measured: Convergence
) -> None:
    """Store slopes and convergence of an intermediate fit, and set its run FINISHED."""
    measures = {
        "n_genes": len(design.genes),
        "n_cell_lines": len(design.cell_lines),
        "n_measurements": design.n_measurements,
        "rhat_max": measured.rhat_max,
        "ess_bulk_min": measured.ess_bulk_min,
    }
    if measured.exact is not None:
        measures["log_evidence"] = measured.exact.log_evidence
    files = {
        "gene_effects.csv": effects.to_csv(index=False).encode(),
        "gene_effects.parquet": effects.to_parquet(index=False),
        "convergence.json": measured.model_dump_json(indent=2).encode(),
    }
    finish_run(run, files, measures, f"An intermediate fit of a comparison: {name}.")


def _comparison_tags(run_a: str, run_b: str, settings: ComparisonSettings) -> dict[str, str]:
    """Return the tags that identify a comparison."""
    return {
        "kind": "comparison",
        "run_a": run_a,
        "run_b": run_b,
        "settings": settings.model_dump_json(),
    }


def comparison_name(comparison: Comparison) -> str:
    """Return the name of the run: what differs between A and B."""
    a, b = comparison.a, comparison.b
    model = b.model if a.model == b.model else f"{a.model} -> {b.model}"
    release = b.release if a.release == b.release else f"{a.release} -> {b.release}"
    if (a.release, a.model) == (b.release, b.model):
        # Otherwise it would have the name of a fit.
        changed = ", ".join(comparison.changed_parameters) or "settings the same"
        return f"{release} {model}: {changed}"[:LONGEST_NAME]
    return f"{release} {model}"


def track_comparison(run: FitRun, found: ComparedFits) -> None:
    """Store a comparison in its run and set it FINISHED; raise TrackingError."""
    # Promotions and reports, which read these runs, do without what draws.
    from model.plots import as_bytes
    from model.plots.comparison import comparison_figures

    comparison = found.comparison
    page = comparison_markdown(comparison, found.genes)
    figures = comparison_figures(found.genes, comparison)
    pictures = {f"plots/{name}.png": as_bytes(figure, "png") for name, figure in figures.items()}
    files = {**found.tables(), "comparison.md": page.encode(), **pictures}
    finish_run(run, files, _measures(comparison), page)


def _measures(comparison: Comparison) -> dict[str, float]:
    measures: dict[str, float | None] = {
        "n_genes_joined": comparison.n_genes_joined,
        "n_genes_lost": len(comparison.genes_lost),
        "n_genes_gained": len(comparison.genes_gained),
        "n_hits_opposite_sign": len(comparison.hits_opposite_sign),
        "n_hits_lost": len(comparison.hits_lost),
        "n_hits_gained": len(comparison.hits_gained),
        "beta_correlation": comparison.beta_correlation,
        "largest_abs_z": comparison.largest_abs_z,
        "log_evidence_difference": comparison.log_evidence_difference,
        "elpd_loo_difference": comparison.elpd_loo_difference,
        "elpd_loo_difference_se": comparison.elpd_loo_difference_se,
    }
    if comparison.data is not None:
        measures |= {
            "n_cell_lines_joined": comparison.data.n_cell_lines_joined,
            "n_cell_lines_lost": len(comparison.data.cell_lines_lost),
            "n_cell_lines_gained": len(comparison.data.cell_lines_gained),
            "n_cell_lines_values_changed": len(comparison.data.values_changed),
            "n_sequences_lost": len(comparison.data.sequences_lost),
            "n_sequences_gained": len(comparison.data.sequences_gained),
        }
    measures |= {f"moved_by_{step.name}": step.mean_abs_difference for step in comparison.steps}
    return {name: value for name, value in measures.items() if value is not None}

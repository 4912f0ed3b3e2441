"""The files of a run, written into a folder. `tasks.tracking.log_fit` logs them to MLflow."""

from __future__ import annotations

import platform
from dataclasses import fields
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import BaseModel, TypeAdapter

from model.screen.design import ScreenDesign, design_dataset
from schemas.reports import PredictiveCheck
from schemas.tables.eligibility import INCLUDED
from tasks.runtime.files import require_room

if TYPE_CHECKING:  # reading a run needs neither the statistics nor the pictures of a fit
    from model.fit import FitResults
    from model.screen.inclusion import InclusionTable
    from tasks.reports.figures import FitReport

POSTERIOR_FILE = "posterior.nc"
SUMMARY_FILE = "summary.csv"
EXPLORER_FILE = "explorer.html"
EFFECTS_FILE = "gene_effects.parquet"
CELLS_FILE = "loo_cells.parquet"
CHECKS_FILE = "predictive_checks.json"
PARAMETERS_FILE = "parameters.json"
PREPARATION_FILE = "preparation.json"
SCREEN_FOLDER = "screen"
"""What was fitted: the design, and the inclusion of all that came."""
DESIGN_FILE = "design.nc"
HDF5_OVERHEAD = 2_000_000
"""Bytes that a netCDF file may take beyond its numbers."""


def write_artifacts(results: FitResults, report: FitReport, folder: Path) -> None:
    """Write the files of a run into an empty folder; raise OSError where they do not fit.

    Space for the large files is checked first: HDF5 fails again each time it closes one of its
    objects, and leaves a file that looks complete.
    """
    require_room(folder, results.tree.nbytes + HDF5_OVERHEAD)
    results.tree.to_netcdf(folder / POSTERIOR_FILE, engine="h5netcdf")
    results.summary.to_csv(folder / SUMMARY_FILE, index=False)
    results.effects.to_csv(folder / "gene_effects.csv", index=False)
    results.effects.to_parquet(folder / EFFECTS_FILE, index=False)
    without_effect(results.inclusion).to_csv(folder / "genes_without_effect.csv", index=False)
    results.fitted_cells.to_parquet(folder / "fitted_cells.parquet", index=False)
    results.loo.cells.to_parquet(folder / CELLS_FILE, index=False)

    write_screen(results.design, results.inclusion, folder / SCREEN_FOLDER)

    reports: dict[str, BaseModel] = {
        # MLflow cuts a long parameter, such as a list of genes, without a word.
        PARAMETERS_FILE: results.parameters,
        "validation.json": results.validation,
        PREPARATION_FILE: results.preparation,
        "convergence.json": results.convergence,
        "loo.json": results.loo.summary,
        "verdict.json": results.verdict,
    }
    if results.known_genes is not None:
        reports["known_genes.json"] = results.known_genes
    if (influence := results.influence) is not None:
        reports["influence.json"] = influence.summary
        if influence.lines is not None:
            influence.lines.to_parquet(folder / "lines_left_out.parquet", index=False)
        influence.line_influence.to_parquet(folder / "line_influence.parquet", index=False)
        if (by_lineage := influence.lineage_sensitivity) is not None:
            by_lineage.to_parquet(folder / "lineage_sensitivity.parquet", index=False)
    for name, part in reports.items():
        _write(folder / name, part.model_dump_json(indent=2))
    checks = TypeAdapter(tuple[PredictiveCheck, ...]).dump_json(results.checks, indent=2)
    (folder / CHECKS_FILE).write_bytes(checks)

    (folder / "plots").mkdir()
    for name, png in report.figures.items():
        (folder / "plots" / f"{name}.png").write_bytes(png)
    _write(folder / "report.html", report.html)
    if report.explorer:
        _write(folder / EXPLORER_FILE, report.explorer)
    if report.model_graph_svg:
        _write(folder / "model_graph.svg", report.model_graph_svg)
    _write(folder / "environment.txt", environment())


def without_effect(inclusion: InclusionTable) -> pd.DataFrame:
    """Return the genes that came and were not fitted: gene, reason."""
    genes = inclusion.genes[["gene", "reason"]]
    return genes[genes["reason"] != INCLUDED].sort_values(["reason", "gene"], ignore_index=True)


def write_screen(design: ScreenDesign, inclusion: InclusionTable, folder: Path) -> None:
    """Write what was fitted, so that later fits can be compared with it, into a new folder."""
    folder.mkdir()
    # Not packed: sums of measured values shrink by a sixth, and that takes twenty times as long.
    sums = design_dataset(design)
    require_room(folder, sums.nbytes + HDF5_OVERHEAD)
    sums.to_netcdf(folder / DESIGN_FILE, engine="h5netcdf")
    for table in fields(inclusion):
        getattr(inclusion, table.name).to_parquet(folder / f"{table.name}.parquet", index=False)


def environment() -> str:
    """Return Python and platform as comments, then `name==version` of every distribution."""
    # Each access to a name or a version parses all metadata again.
    metadata = [found.metadata for found in distributions()]
    installed = {f"{one['Name']}=={one['Version']}" for one in metadata}
    lines = [
        f"# Python {platform.python_version()} ({platform.python_implementation()})",
        f"# {platform.platform()}",
        *sorted(installed, key=str.lower),
    ]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

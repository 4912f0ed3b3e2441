"""The files a run holds, written into a folder. How they get into MLflow is `tasks.track`."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import distributions
from pathlib import Path

import pandas as pd
import xarray as xr
from pydantic import BaseModel, TypeAdapter

from model.design import ScreenDesign
from model.design_dataset import design_dataset
from model.influence import Influence
from model.loo import Loo
from model.roster import Roster
from schemas.dataset import Dataset
from schemas.identity import data_digest
from schemas.parameters import FitParameters
from schemas.reports import (
    Convergence,
    KnownGenes,
    PredictiveCheck,
    PreparationReport,
    ValidationReport,
    Verdict,
)
from schemas.trace import TraceOrigin
from schemas.usable import KEPT
from tasks.out_files import require_room

POSTERIOR_FILE = "posterior.nc"
SUMMARY_FILE = "summary.csv"
EFFECTS_FILE = "gene_effects.parquet"
CELLS_FILE = "loo_cells.parquet"
CHECKS_FILE = "predictive_checks.json"
PARAMETERS_FILE = "parameters.json"
PREPARATION_FILE = "preparation.json"
SCREEN_FOLDER = "screen"
"""What was fitted: the design, and the roster of all that came."""
DESIGN_FILE = "design.nc"
HDF5_OVERHEAD = 2_000_000
"""Bytes that a netCDF file may take beyond its numbers."""


@dataclass(frozen=True, eq=False)
class FitResults:
    """Everything a fit has produced."""

    dataset: Dataset
    parameters: FitParameters
    validation: ValidationReport
    preparation: PreparationReport
    convergence: Convergence
    checks: tuple[PredictiveCheck, ...]
    loo: Loo
    """Cells left out one at a time (`model.loo`)."""
    verdict: Verdict
    effects: pd.DataFrame
    """Gene effects (`model.effects`), one row a gene."""
    known_genes: KnownGenes | None
    """Agreement with the known expression addictions; None where the dataset lists none."""
    fitted_cells: pd.DataFrame
    """The fit beside the data (`model.predictive`), one row a gene and cell line."""
    summary: pd.DataFrame
    """One row a parameter, the first column its name."""
    tree: xr.DataTree
    """The posterior contract (`schemas.posterior`)."""
    design: ScreenDesign
    roster: Roster
    """Every item that came, and why it was left out."""
    figures: Mapping[str, bytes]
    """PNG images by name of `model.plots`, without suffix."""
    model_graph_svg: str
    """Empty where no pictures were asked for."""
    seconds: Mapping[str, float]
    """Seconds by step: validate, prepare, fit, checks."""
    influence: Influence | None = None
    """What leaving out lines and lineages has shown; None where that cannot be known."""
    origin: TraceOrigin | None = None
    """Where the draws come from, if they were not sampled here."""

    @property
    def engine(self) -> str:
        """The engine that ran in the end, where `auto` was asked for too."""
        return str(self.tree.attrs["engine"])

    @property
    def settings(self) -> dict[str, str | int | float]:
        """The flat settings of the fit, as far as they are known."""
        return self.parameters.flat() if self.origin is None else self.origin.known(self.parameters)

    @property
    def data_digest(self) -> str:
        """SHA-256, in hex, of the names and contents of all tables, whatever their order."""
        return data_digest(self.validation.tables)


def write_artifacts(results: FitResults, report_html: str, folder: Path) -> None:
    """Write the files of a run into an empty folder; raise OSError where they do not fit.

    Room for the large ones is asked for first: HDF5 fails again and again, whenever it closes one
    of its objects, and leaves a file that looks whole.
    """
    require_room(folder, results.tree.nbytes + HDF5_OVERHEAD)
    results.tree.to_netcdf(folder / POSTERIOR_FILE, engine="h5netcdf")
    results.summary.to_csv(folder / SUMMARY_FILE, index=False)
    results.effects.to_csv(folder / "gene_effects.csv", index=False)
    results.effects.to_parquet(folder / EFFECTS_FILE, index=False)
    without_effect(results.roster).to_csv(folder / "genes_without_effect.csv", index=False)
    results.fitted_cells.to_parquet(folder / "fitted_cells.parquet", index=False)
    results.loo.cells.to_parquet(folder / CELLS_FILE, index=False)

    write_screen(results.design, results.roster, folder / SCREEN_FOLDER)

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
        influence.lines.to_parquet(folder / "lines_left_out.parquet", index=False)
        influence.line_influence.to_parquet(folder / "line_influence.parquet", index=False)
        if (by_lineage := influence.lineage_sensitivity) is not None:
            by_lineage.to_parquet(folder / "lineage_sensitivity.parquet", index=False)
    for name, report in reports.items():
        _write(folder / name, report.model_dump_json(indent=2))
    checks = TypeAdapter(tuple[PredictiveCheck, ...]).dump_json(results.checks, indent=2)
    (folder / CHECKS_FILE).write_bytes(checks)

    (folder / "plots").mkdir()
    for name, png in results.figures.items():
        (folder / "plots" / f"{name}.png").write_bytes(png)
    _write(folder / "report.html", report_html)
    if results.model_graph_svg:
        _write(folder / "model_graph.svg", results.model_graph_svg)
    _write(folder / "environment.txt", environment())


def without_effect(roster: Roster) -> pd.DataFrame:
    """Return the genes that came and were not fitted: gene, reason."""
    genes = roster.genes
    return genes[genes["reason"] != KEPT].sort_values(["reason", "gene"], ignore_index=True)


def write_screen(design: ScreenDesign, roster: Roster, folder: Path) -> None:
    """Write what was fitted, so that later fits can be compared with it, into a new folder."""
    folder.mkdir()
    # Not packed: sums of measured values shrink by a sixth, and that takes twenty times as long.
    sums = design_dataset(design)
    require_room(folder, sums.nbytes + HDF5_OVERHEAD)
    sums.to_netcdf(folder / DESIGN_FILE, engine="h5netcdf")
    for table in fields(roster):
        getattr(roster, table.name).to_parquet(folder / f"{table.name}.parquet", index=False)


def environment() -> str:
    """Return Python and platform as comments, then `name==version` of every distribution."""
    installed = {f"{found.name}=={found.version}" for found in distributions()}
    lines = [
        f"# Python {platform.python_version()} ({platform.python_implementation()})",
        f"# {platform.platform()}",
        *sorted(installed, key=str.lower),
    ]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

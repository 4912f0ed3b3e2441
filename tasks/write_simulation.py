"""Writes a simulated screen as a release: tables, true values and dataset file.

Tables are written in blocks: the measurements of a whole release do not fit into memory.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import yaml

from model.simulation.release import SimulatedRelease
from schemas.tables.containers import TableName
from schemas.tables.layouts import known_file_stems
from tasks.runtime.files import require_empty

LIBRARY = "Avana"
DATASET_FILE, TRUTH_FILE = "dataset.yaml", "truth.csv"
RNA_STEM = "OmicsExpressionProteinCodingGenesTPMLogp1"
LINES_PER_BLOCK = 64
_UNFINISHED = ".unfinished"


def write_release(
    release: SimulatedRelease,
    folder: Path,
    progress: Callable[[int, int], None] = lambda n_guides, n_all: None,
) -> Path:
    """Write tables, truth.csv and dataset.yaml into an empty folder; return the path of the last.

    Files get their names once all are complete, the dataset file last; a failed run leaves none.
    `progress` receives the number of guides written and the total.

    Raises:
        FolderInUse: the folder is not empty, or is a file.
    """
    require_empty(folder)
    existed = folder.exists()
    unfinished = folder / _UNFINISHED
    unfinished.mkdir(parents=True)
    try:
        _write_tables(release, unfinished, progress)
        for file in sorted(unfinished.iterdir(), key=lambda file: file.name == DATASET_FILE):
            file.rename(folder / file.name)
    finally:
        shutil.rmtree(unfinished)
        if not existed:
            with suppress(OSError):  # it holds the release
                folder.rmdir()
    return folder / DATASET_FILE


def _write_tables(
    release: SimulatedRelease, folder: Path, progress: Callable[[int, int], None]
) -> None:
    names = {table: _file_name(table) for table in _TABLES}
    n_guides = len(release.guides)

    def logfc() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        for guides, values in release.blocks():
            yield release.guides[guides], values
            progress(guides.stop, n_guides)

    def rna() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(release.cell_lines), LINES_PER_BLOCK):
            lines = slice(start, start + LINES_PER_BLOCK)
            yield release.cell_lines[lines], release.log2_tpm[:, lines].T

    _write_frame(release.truth(), folder / TRUTH_FILE)
    _write_frame(_guide_map(release), folder / names["guide_map"])
    _write_frame(_sequence_map(release), folder / names["sequence_map"])
    _write_frame(_model_table(release), folder / names["model_table"])
    _write_matrix(folder / names["rna"], release.genes, rna())
    _write_matrix(folder / names["logfc"], release.sequences, logfc())
    dataset = {
        "name": "simulated-release",
        "release": f"{release.settings.model}-seed{release.settings.seed}",
        "library": LIBRARY,
    } | {str(table): name for table, name in names.items()}
    text = yaml.safe_dump(dataset, sort_keys=False)
    (folder / DATASET_FILE).write_text(text, encoding="utf-8", newline="\n")


_TABLES: tuple[TableName, ...] = ("logfc", "guide_map", "sequence_map", "rna", "model_table")


def _file_name(table: TableName) -> str:
    stem = RNA_STEM if table == "rna" else known_file_stems(table, LIBRARY)[0]
    return f"{stem}.csv"


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, lineterminator="\n")


def _write_matrix(
    path: Path, columns: np.ndarray, blocks: Iterable[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Write a matrix in full precision, row labels in an unnamed first column, NaN as empty."""
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    schema = pa.schema(
        [("", pa.string()), *((str(place), pa.float64()) for place in range(len(columns)))]
    )
    with path.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerow(["", *columns])
    with path.open("ab") as stream, pa.csv.CSVWriter(stream, schema, write_options=options) as out:
        for labels, values in blocks:
            by_column = np.ascontiguousarray(values.T)
            arrays = [pa.array(column, from_pandas=True) for column in by_column]
            out.write_batch(pa.record_batch([pa.array(labels), *arrays], schema=schema))


def _guide_map(release: SimulatedRelease) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sgRNA": release.guides,
            "GenomeAlignment": [f"chr1_{1000 * (1 + k)}_+" for k in range(len(release.guides))],
            "Gene": release.genes[release.guide_gene],
            "nAlignments": 1.0,
            "UsedByChronos": True,
            "DropReason": "",
        }
    )


def _sequence_map(release: SimulatedRelease) -> pd.DataFrame:
    replicates = release.settings.replicates
    numbers = np.repeat([line.removeprefix("ACH-") for line in release.cell_lines], replicates)
    return pd.DataFrame(
        {
            "SequenceID": release.sequences,
            "ScreenID": [f"SC-{number}.AV01" for number in numbers],
            "ModelConditionID": [f"MC-{number}-sim0" for number in numbers],
            "ModelID": np.repeat(release.cell_lines, replicates),
            "ScreenType": "2DS",
            "Library": LIBRARY,
            "Days": 21,
            "pDNABatch": "Avana-1",
            "PassesQC": True,
            "ExcludeFromCRISPRCombined": False,
            "Replicate": [chr(ord("A") + r) for r in range(replicates)] * len(release.cell_lines),
        }
    )


def _model_table(release: SimulatedRelease) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "ModelID": release.cell_lines,
            "CellLineName": [
                f"SIM-{line.removeprefix('ACH-').lstrip('0')}" for line in release.cell_lines
            ],
            "OncotreeLineage": release.lineages,
        }
    )

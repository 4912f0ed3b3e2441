"""Screens of three genes and four cell lines, and their preparation with all that is lost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from model.screen.design import ScreenDesign
from model.screen.preparation import SufficientStatistics, prepare
from schemas.parameters import Filters, FitParameters, Preparation
from schemas.reports import Exclusion, PreparationReport
from schemas.tables.containers import LogfcBlock, Screen

LINES = [f"ACH-{i:06d}" for i in range(1, 5)]
GENES = ["AAA (1)", "BBB (2)", "CCC (3)"]
LOOSE = Preparation(min_rna_sd=0, min_cell_lines_per_gene=2)


def guide_map(rows: Sequence[tuple[str, str | None, int, bool]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["guide", "gene", "n_alignments", "used"])
    return frame.astype({"guide": "str", "gene": "str", "n_alignments": "Int64", "used": bool})


def sequence_map(rows: Sequence[tuple[str, str | None]], **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["sequence", "cell_line"], dtype="str")
    standard: dict[str, Any] = {"screen_type": "2DS", "library": "Lib", "pdna_batch": "1"}
    return frame.assign(**(standard | {"passes_qc": True, "excluded": False} | columns))


def screen(random_seed: int = 1) -> Screen:
    """Three genes with two guides each, four lines with two sequences each."""
    return Screen(
        guide_map=guide_map([(f"{gene[0]}{i}", gene, 1, True) for i in (1, 0) for gene in GENES]),
        sequence_map=sequence_map([(f"{line}_{i}", line) for i in "AB" for line in LINES]),
        profiles=pd.DataFrame({"profile": LINES, "cell_line": LINES, "is_default": True}),
        rna=pd.DataFrame(np.random.default_rng(random_seed).random((4, 3)) * 5, columns=GENES),
    )


def table(of: Screen, seed: int = 2) -> pd.DataFrame:
    guides = of.guide_map["guide"].unique()
    values = np.random.default_rng(seed).normal(size=(len(guides), len(of.sequence_map)))
    return pd.DataFrame(values, guides, list(of.sequence_map["sequence"]))


def collect(of: Screen, logfc: pd.DataFrame, parameters: FitParameters) -> SufficientStatistics:
    statistics = SufficientStatistics(
        of, tuple(logfc.columns), "Lib", parameters.filters, parameters.preparation
    )
    for start in range(0, len(logfc), 3):
        part = logfc.iloc[start : start + 3]
        guides = part.index.to_numpy(dtype=object)
        statistics.add(LogfcBlock(guides, part.to_numpy().copy(), start + 2))
    return statistics


def prepared(
    of: Screen,
    logfc: pd.DataFrame | None = None,
    preparation: Preparation = LOOSE,
    filters: Filters | None = None,
    z_score: bool = False,
) -> tuple[ScreenDesign, dict[tuple[str, str], Exclusion]]:
    logfc = table(of) if logfc is None else logfc
    parameters = FitParameters(preparation=preparation, filters=filters or Filters())
    statistics = collect(of, logfc, parameters)
    design, report = prepare(of, statistics, parameters, "z_score" if z_score else "log2_tpm")
    assert_conserved(of, statistics, design, report)
    return design, {(loss.unit, loss.reason): loss for loss in report.losses}


def assert_conserved(
    of: Screen, statistics: SufficientStatistics, design: ScreenDesign, report: PreparationReport
) -> None:
    """Kept and lost together are what came, for every unit."""
    lost = {
        unit: sum(loss.count for loss in report.losses if loss.unit == unit)
        for unit in ("guide", "gene", "cell line", "measurement", "RNA profile", "sequence")
    }
    n_guides = sum(map(len, statistics.seen))
    sequences = statistics.selection.sequences
    n_sequences_kept = sequences.loc[sequences["reason"] == "", "cell_line"].isin(design.cell_lines)
    genes = set(of.guide_map["gene"].dropna()) | set(of.rna.columns)
    lines = set(of.sequence_map["cell_line"].dropna()) | set(of.profiles["cell_line"])
    assert report.n_guides + lost["guide"] == n_guides
    assert n_sequences_kept.sum() + lost["sequence"] == len(sequences)
    assert report.n_measurements + lost["measurement"] == n_guides * len(sequences)
    assert report.n_genes + lost["gene"] == len(genes)
    assert report.n_cell_lines + lost["cell line"] == len(lines)
    assert report.n_cell_lines + lost["RNA profile"] == len(of.profiles)
    assert (report.n_genes, report.n_cell_lines) == design.rna.shape
    assert (report.n_guides, report.n_cell_lines) == design.count.shape
    assert report.n_measurements == design.n_measurements

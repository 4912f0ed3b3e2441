"""A dataset is read once, every broken rule is reported, and a sound one can be prepared."""

from pathlib import Path

import numpy as np
import pytest

from model.preparation import prepare
from schemas.coverage_rules import JoinCoverage, check_coverage
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.reports import Finding
from tasks.storage import StoredFile
from tasks.validate import validate
from tests.model.small_screens import assert_conserved
from tests.property.releases import LOOSE, release

PARAMETERS = FitParameters()


def test_a_sound_dataset_is_read_once_and_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    progress: list[int] = []
    original = StoredFile.open

    def counting(file: StoredFile) -> object:
        opened.append(file.location)
        return original(file)

    monkeypatch.setattr(StoredFile, "open", counting)
    monkeypatch.setattr("tasks.table_files.CSV_BLOCK_BYTES", 1_000)
    dataset = release(4, 8, 4, 2).write(tmp_path)
    validated = validate(dataset, LOOSE, progress.append)
    assert opened.count(str(dataset.logfc)) == 2  # header and rows; the digest is taken meanwhile
    assert len(progress) > 1 and (progress, progress[-1]) == (sorted(set(progress)), 17)
    assert validated.report.passed and validated.report.findings == ()
    assert validated.screen is not None and validated.statistics is not None
    assert validated.statistics.count.sum() == 16 * 16
    found = {table.table: (table.n_rows, table.n_columns) for table in validated.report.tables}
    assert found == {
        "logfc": (17, 17), "rna": (8, 4), "guide_map": (17, 4), "sequence_map": (18, 5),
    }  # fmt: skip


def test_the_join_that_is_judged_is_the_design_that_is_fitted(
    avana: Dataset, monkeypatch: pytest.MonkeyPatch
):
    """On the real sample; the two are computed apart, and must agree."""
    judged: list[JoinCoverage] = []

    def keeping(coverage: JoinCoverage, parameters: FitParameters) -> list[Finding]:
        judged.append(coverage)
        return check_coverage(coverage, parameters)

    monkeypatch.setattr("tasks.validate.check_coverage", keeping)
    valid = validate(avana, PARAMETERS)
    assert valid.screen is not None and valid.statistics is not None
    design, report = prepare(valid.screen, valid.statistics, PARAMETERS, "log2_tpm")
    assert_conserved(valid.screen, valid.statistics, design, report)
    assert (report.n_genes, report.n_cell_lines) == (105, 41)
    assert (report.n_guides, report.n_measurements) == (408, 35_063)
    (coverage,) = judged
    assert tuple(coverage.join.genes) == design.genes
    assert tuple(coverage.join.cell_lines) == design.cell_lines
    assert (coverage.measured == (design.gene_count > 0)).all()
    assert coverage.n_guides.tolist() == np.bincount(design.guide_gene).tolist()

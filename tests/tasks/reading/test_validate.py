"""A dataset is read once, every broken rule is reported, and a sound one can be prepared."""

from pathlib import Path

import boto3
import numpy as np
import pandas as pd
import pytest

from model.fit import prepare_screen
from model.screen.preparation import prepare
from schemas.digests import data_digest
from schemas.parameters import FitParameters
from schemas.reports import Finding
from schemas.tables.coverage import JoinCoverage, check_coverage
from tasks.reading.dataset_file import load_dataset
from tasks.reading.storage import StoredFile
from tasks.reading.validate import validate
from tests.model.small_screens import assert_conserved
from tests.property.releases import LOOSE, release

PARAMETERS = FitParameters()
RELEASE = "name: avana\nrelease: 24Q4\nlibrary: Avana\nfolder: "


def test_a_sound_dataset_is_read_once_and_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    progress: list[int] = []
    original = StoredFile.open

    def counting(file: StoredFile) -> object:
        opened.append(file.location)
        return original(file)

    monkeypatch.setattr(StoredFile, "open", counting)
    monkeypatch.setattr("tasks.reading.table_file.CSV_BLOCK_BYTES", 1_000)
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


@pytest.mark.integration
def test_the_real_sample_has_no_error_and_is_the_same_in_a_bucket(shared, s3_bucket, tmp_path):
    folder, client = shared / "data" / "avana_sample", boto3.client("s3")
    for table in folder.iterdir():
        client.upload_file(str(table), s3_bucket, f"24Q4/{table.name}")
    (tmp_path / "local.yaml").write_text(f"{RELEASE}{folder}")
    client.put_object(Bucket=s3_bucket, Key="remote.yaml", Body=f"{RELEASE}24Q4".encode())
    files = str(tmp_path / "local.yaml"), f"s3://{s3_bucket}/remote.yaml"
    here, there = (validate(load_dataset(file), PARAMETERS) for file in files)
    assert {(one.severity, one.rule): one.found for one in here.report.findings} == {
        ("warning", "genes_lost"): ("C8orf37 (157657)",),
        ("warning", "guides_per_gene"): ("DTX2 (113878): 1", "MPRIP (23164): 1"),
        ("warning", "logfc_missing"): ("0.23 % of 319,608 values",),
    }
    assert data_digest(there.report.tables) == data_digest(here.report.tables)
    assert here.statistics is not None and there.statistics is not None
    np.testing.assert_array_equal(there.statistics.total, here.statistics.total)


def test_copy_number_of_the_real_sample_is_told_from_rna_and_from_ratios(avana, shared, tmp_path):
    path = str(shared / "data" / "avana_sample" / "OmicsCNGene.csv")
    table = pd.read_csv(path, index_col=0)
    (2**table - 1).to_csv(tmp_path / "ratios.csv", index_label="")

    def errors(**entries: str | None) -> list[str]:
        report = validate(avana.model_copy(update=entries), PARAMETERS).report
        return [one.rule for one in report.findings if "copy" in one.rule or "rna" in one.rule]

    ratio = {"copy_number": str(tmp_path / "ratios.csv"), "copy_number_units": "ratio"}
    assert errors(copy_number=path) == errors(**ratio) == errors() == []
    assert errors(copy_number=path, copy_number_units="ratio") == ["copy_number_not_log2"]
    assert errors(copy_number=avana.rna) == ["copy_number_not_rna"]
    assert errors(rna=path) == ["rna_like_copy_number"]
    dataset = avana.model_copy(update=ratio)
    valid = validate(dataset, PARAMETERS)
    assert "copy_number" in {one.table for one in valid.report.tables}
    assert valid.screen is not None and valid.statistics is not None
    screen = prepare_screen(dataset, PARAMETERS, valid.report, valid.screen, valid.statistics)
    of_fit = table.loc[list(screen.design.cell_lines), list(screen.design.genes)].T
    expected = of_fit.sub(of_fit.where(screen.design.gene_count > 0).mean(axis=1), axis=0)
    np.testing.assert_allclose(screen.design.covariates["copy_number"], expected, atol=1e-12)
    assert screen.preparation.n_without_copy_number == 0


def test_the_join_that_is_judged_is_the_design_that_is_fitted(avana, monkeypatch) -> None:
    """On the real sample; the two are computed apart, and must agree."""
    judged: list[JoinCoverage] = []

    def keeping(coverage: JoinCoverage, parameters: FitParameters) -> list[Finding]:
        judged.append(coverage)
        return check_coverage(coverage, parameters)

    monkeypatch.setattr("tasks.reading.validate.check_coverage", keeping)
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

"""A dataset is read once, every broken rule is reported, and a sound one can be prepared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.preparation import prepare
from schemas.coverage_rules import JoinCoverage, check_coverage
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.reports import Finding
from schemas.screen import LogfcBlock, TableFormatError
from tasks.read_logfc import WideLogfc
from tasks.storage import StoredFile
from tasks.validate import InvalidDataset, validate
from tests.model.small_screens import assert_conserved

PARAMETERS = FitParameters()
LINES = [f"ACH-{line:06}" for line in range(8)]
GUIDES = [f"ACGTACGTACGTACGTAC{first}{second}" for first in "ACGT" for second in "ACGT"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four genes of four guides, eight lines of two replicates."""
    rng = np.random.default_rng(5)
    sequences = [f"{line} {replicate}" for line in LINES for replicate in "AB"]
    genes = [f"G{gene} ({gene})" for gene in range(4)]
    guides = {"sgRNA": GUIDES, "Gene": np.repeat(genes, 4), "nAlignments": 1.0}
    screens = {"SequenceID": sequences, "ModelID": np.repeat(LINES, 2), "ScreenType": "2DS"}
    tables = {
        "logfc": pd.DataFrame(rng.normal(size=(16, 16)), GUIDES, sequences),
        "rna": pd.DataFrame(rng.uniform(0, 9, size=(8, 4)), LINES, genes),
        "guide_map": pd.DataFrame(guides | {"UsedByChronos": True}),
        "sequence_map": pd.DataFrame(screens | {"Library": "KY", "PassesQC": True}),
    }
    for name, frame in tables.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=name in ("logfc", "rna"))
    places = {name: str(tmp_path / f"{name}.csv") for name in tables}
    return Dataset(name="small", release="24Q4", library="KY", **places)


def replace_in(path: str | None, old: str, new: str) -> None:
    assert path is not None
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))


def test_a_sound_dataset_is_read_once_and_ready(dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    progress: list[int] = []
    original = StoredFile.open

    def counting(file: StoredFile) -> object:
        opened.append(file.location)
        return original(file)

    monkeypatch.setattr(StoredFile, "open", counting)
    monkeypatch.setattr("tasks.table_files.CSV_BLOCK_BYTES", 2_000)
    validated = validate(dataset, PARAMETERS, progress.append)
    assert opened.count(str(dataset.logfc)) == 2  # header and rows; the digest is taken meanwhile
    assert len(progress) > 1
    assert (progress, progress[-1]) == (sorted(set(progress)), 16)
    assert validated.report.findings == ()
    assert validated.report.passed
    assert validated.screen is not None
    assert validated.statistics is not None
    assert validated.statistics.count.sum() == 16 * 16
    assert [(t.table, t.n_rows, t.n_columns) for t in validated.report.tables] == [
        ("logfc", 16, 16),
        ("rna", 8, 4),
        ("guide_map", 16, 4),
        ("sequence_map", 16, 5),
    ]


def test_the_findings_of_all_tables_are_reported_errors_first(dataset: Dataset):
    replace_in(dataset.guide_map, "True", "maybe")
    replace_in(dataset.guide_map, "G3 (3)", "")
    replace_in(dataset.sequence_map, "ACH-000000,2DS", "HEL,2DS")
    replace_in(dataset.rna, "ACH-000003,", "ACH-000003,-")
    replace_in(dataset.logfc, GUIDES[5], GUIDES[4])
    report = validate(dataset, PARAMETERS).report
    errors = {finding.rule for finding in report.errors}
    assert errors == {"flag", "cell_line_id", "rna_not_negative", "guide_unique"}
    assert [finding.rule for finding in report.warnings] == ["guides_without_gene", "guides_lost"]
    assert report.findings == report.errors + report.warnings
    message = str(InvalidDataset(report))
    assert message.splitlines()[0] == "small 24Q4 breaks 4 rule(s):"
    assert "flag: guide_map, used: expected True or False" in message
    assert "line 2: 'maybe'" in message
    assert "screenbayes validate" in message


def test_an_error_in_the_logfc_table_alone_leaves_nothing_to_fit(dataset: Dataset):
    replace_in(dataset.logfc, GUIDES[5], GUIDES[4])
    validated = validate(dataset, PARAMETERS)
    assert not validated.report.passed
    assert (validated.screen, validated.statistics) == (None, None)


def test_a_truncated_table_is_not_judged_as_a_whole(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    original = WideLogfc.blocks

    def truncated(logfc: WideLogfc) -> Iterator[LogfcBlock]:
        for block in original(logfc):
            values = block.values[:3].copy()
            values[0, 0], values[:, 1] = 99, np.nan
            yield LogfcBlock(block.guides[:3], values, block.first_line)
            raise TableFormatError("logfc", "logfc.csv", "truncated", "it ends", "fetch it again")

    monkeypatch.setattr(WideLogfc, "blocks", truncated)
    report = validate(dataset, PARAMETERS).report
    assert [finding.rule for finding in report.findings] == ["logfc_range", "truncated"]


def test_unreadable_tables_are_findings_beside_the_others(dataset: Dataset):
    Path(str(dataset.rna)).unlink()
    replace_in(dataset.guide_map, "True", "maybe")
    errors = validate(dataset, PARAMETERS).report.errors
    found = {(finding.rule, finding.table) for finding in errors}
    assert found == {("missing_file", "rna"), ("flag", "guide_map")}


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

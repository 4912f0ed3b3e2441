"""Validation of whole datasets: one pass, one report, and what a fit starts from."""

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

PARAMETERS = FitParameters()
LINES = [f"ACH-{line:06}" for line in range(8)]
GUIDES = [f"ACGTACGTACGTACGTAC{first}{second}" for first in "ACGT" for second in "ACGT"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four genes of four guides, eight lines of two replicates."""
    rng = np.random.default_rng(5)
    sequences = [f"{line} {replicate}" for line in LINES for replicate in "AB"]
    genes = [f"G{gene} ({gene})" for gene in range(4) for _ in range(4)]
    logfc = pd.DataFrame(rng.normal(size=(16, 16)), index=GUIDES, columns=sequences)
    logfc.to_csv(tmp_path / "logfc.csv", index_label="")
    pd.DataFrame(
        {"sgRNA": GUIDES, "Gene": genes, "nAlignments": 1.0, "UsedByChronos": True}
    ).to_csv(tmp_path / "guides.csv", index=False)
    pd.DataFrame(
        {
            "SequenceID": sequences,
            "ModelID": np.repeat(LINES, 2),
            "ScreenType": "2DS",
            "Library": "KY",
            "PassesQC": True,
        }
    ).to_csv(tmp_path / "sequences.csv", index=False)
    rna = pd.DataFrame(rng.uniform(0, 9, size=(8, 4)), LINES, pd.unique(pd.Series(genes)))
    rna.to_csv(tmp_path / "rna.csv", index_label="")
    return Dataset(
        name="small",
        release="24Q4",
        library="KY",
        logfc=str(tmp_path / "logfc.csv"),
        guide_map=str(tmp_path / "guides.csv"),
        sequence_map=str(tmp_path / "sequences.csv"),
        rna=str(tmp_path / "rna.csv"),
    )


def replace_in(path: str | None, old: str, new: str) -> None:
    assert path is not None
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))


def test_a_sound_dataset_is_ready_to_be_prepared(dataset: Dataset):
    validated = validate(dataset, PARAMETERS)
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


def test_the_logfc_table_is_read_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    original = StoredFile.open

    def counting(file: StoredFile) -> object:
        opened.append(file.location)
        return original(file)

    monkeypatch.setattr(StoredFile, "open", counting)
    validate(dataset, PARAMETERS)
    assert opened.count(str(dataset.logfc)) == 2  # header and rows; the digest is taken on the way


def test_progress_is_told_in_guides(dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.table_files.CSV_BLOCK_BYTES", 2_000)
    told: list[int] = []
    validate(dataset, PARAMETERS, told.append)
    assert len(told) > 1
    assert told == sorted(set(told))
    assert told[-1] == 16


def test_failures_of_all_tables_come_in_one_report_errors_first(dataset: Dataset):
    replace_in(dataset.guide_map, "True", "maybe")
    replace_in(dataset.guide_map, "G3 (3)", "")
    replace_in(dataset.sequence_map, "ACH-000000,2DS", "HEL,2DS")
    replace_in(dataset.rna, "ACH-000003,", "ACH-000003,-")
    replace_in(dataset.logfc, GUIDES[5], GUIDES[4])
    report = validate(dataset, PARAMETERS).report
    assert {finding.rule for finding in report.errors} == {
        "flag",
        "cell_line_id",
        "rna_not_negative",
        "guide_unique",
    }
    assert [finding.rule for finding in report.warnings] == ["guides_without_gene", "guides_lost"]
    assert report.findings == report.errors + report.warnings


def test_an_error_in_the_logfc_table_alone_leaves_nothing_to_fit(dataset: Dataset):
    replace_in(dataset.logfc, GUIDES[5], GUIDES[4])
    validated = validate(dataset, PARAMETERS)
    assert not validated.report.passed
    assert validated.screen is None
    assert validated.statistics is None


def test_a_table_that_breaks_off_is_not_judged_as_a_whole(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    original = WideLogfc.blocks

    def breaking_off(logfc: WideLogfc) -> Iterator[LogfcBlock]:
        for block in original(logfc):
            values = block.values[:3].copy()
            values[0, 0], values[:, 1] = 99, np.nan
            yield LogfcBlock(block.guides[:3], values, block.first_line)
            raise TableFormatError("logfc", "logfc.csv", "truncated", "it ends", "fetch it again")

    monkeypatch.setattr(WideLogfc, "blocks", breaking_off)
    report = validate(dataset, PARAMETERS).report
    assert [finding.rule for finding in report.findings] == ["logfc_range", "truncated"]


def test_unreadable_tables_are_findings_beside_the_others(dataset: Dataset):
    Path(str(dataset.rna)).unlink()
    replace_in(dataset.guide_map, "True", "maybe")
    report = validate(dataset, PARAMETERS).report
    assert {(finding.rule, finding.table) for finding in report.errors} == {
        ("missing_file", "rna"),
        ("flag", "guide_map"),
    }


def test_the_error_names_rules_values_and_where_to_see_all(dataset: Dataset):
    replace_in(dataset.guide_map, "True", "maybe")
    message = str(InvalidDataset(validate(dataset, PARAMETERS).report))
    assert message.splitlines()[0] == "small 24Q4 breaks 1 rule(s):"
    assert "flag: guide_map, used: expected True or False" in message
    assert "line 2: 'maybe'" in message
    assert "screenbayes validate" in message


def test_what_is_covered_is_what_is_fitted(avana: Dataset, monkeypatch: pytest.MonkeyPatch):
    """The join that is judged and the design that is fitted are built apart, and must agree."""
    judged: list[JoinCoverage] = []

    def keeping(coverage: JoinCoverage, parameters: FitParameters) -> list[Finding]:
        judged.append(coverage)
        return check_coverage(coverage, parameters)

    monkeypatch.setattr("tasks.validate.check_coverage", keeping)
    validated = validate(avana, PARAMETERS)
    assert validated.screen is not None
    assert validated.statistics is not None
    design, report = prepare(validated.screen, validated.statistics, PARAMETERS, "log2_tpm")
    assert (report.n_genes, report.n_cell_lines) == (105, 41)
    assert (report.n_guides, report.n_measurements) == (408, 35_063)
    (coverage,) = judged
    assert tuple(coverage.join.genes) == design.genes
    assert tuple(coverage.join.cell_lines) == design.cell_lines
    assert (coverage.measured == (design.gene_count > 0)).all()
    assert coverage.n_guides.tolist() == np.bincount(design.guide_gene).tolist()

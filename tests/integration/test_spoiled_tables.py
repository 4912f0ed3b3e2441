"""The command refuses spoiled tables before anything is fitted; the real sample is not refused.

What each rule refuses is tested without a command, in `tests.spoiled`.
"""

import random
from pathlib import Path

import pytest
import yaml

from deployments.cli.app import main
from deployments.cli.exit_codes import BAD_INPUT
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from tasks.reading.validate import validate
from tests.integration.runs import runs_in
from tests.spoiled.spoil import complete_release
from tests.spoiled.spoils import SPOILS

SPOILED = (
    "flag in UsedByChronos of guide_map",
    "an empty file",
    "no file",
    "a repeated guide",
    "a repeated model",
    "plain_label in Gene of nonessential",
)


@pytest.mark.integration
def test_a_fit_of_spoiled_tables_reports_all_of_them_and_leaves_no_run(working_folder, capsys):
    release, chosen = complete_release(), [one for one in SPOILS if one.name in SPOILED]
    for spoil in chosen:
        release, _ = spoil.change(release, random.Random(1))
    dataset = release.write(working_folder)
    file = working_folder / "dataset.yaml"
    file.write_text(yaml.safe_dump(dataset.model_dump(exclude_none=True)))
    assert main(["fit", str(file)]) == BAD_INPUT
    told = capsys.readouterr().err
    assert all(f"{spoil.rule}: {spoil.table}" in told for spoil in chosen) and len(chosen) == 6
    assert runs_in(working_folder) == []


def test_the_real_sample_has_no_error(avana: Dataset, shared: Path):
    lists = {
        "essential": "AchillesCommonEssentialControls.csv",
        "nonessential": "AchillesNonessentialControls.csv",
        "expression_addictions": "RNAiExpressionAddictions.csv",
    }
    folder = shared / "data" / "avana_sample"
    controls = {name: str(folder / file) for name, file in lists.items()}
    content = avana.model_dump() | {"controls": controls}
    report = validate(Dataset.model_validate(content), FitParameters()).report
    assert {(one.severity, one.rule): one.found for one in report.findings} == {
        ("warning", "genes_lost"): ("C8orf37 (157657)",),
        ("warning", "guides_per_gene"): ("DTX2 (113878): 1", "MPRIP (23164): 1"),
        ("warning", "logfc_missing"): ("0.23 % of 319,608 values",),
    }

"""Two releases of the real sample: the comparison names each change, and what it did to slopes."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from flows.compare_runs import ComparisonOutcome, compare_runs
from flows.fit_screen import fit_screen
from schemas.parameters import FitParameters
from tests.integration.runs import runs_in
from tests.integration.test_real_screen import dataset_file

pytestmark = [pytest.mark.slow, pytest.mark.integration]

LOGFC, SEQUENCES = "AvanaLogfoldChange.csv.gz", "ScreenSequenceMap.csv"
GUIDES, RNA = "AvanaGuideMap.csv", "OmicsExpressionProteinCodingGenesTPMLogp1.csv"
BATCH = "Avana-4"
SHIFT = 0.3  # log2
EXACT = FitParameters(model="m4", engine="exact")


# What release B has done to release A: lines are dropped, one of the sequences of a line fails
# quality control, a gene is renamed, a batch of pDNA is shifted.
DROPPED = ("ACH-000004", "ACH-000074", "ACH-000168")
FLIPPED, FLIPPED_LINE = "L363-311Cas9_RepA_p6_Avana-3", "ACH-000183"
RENAMED = ("SOX10 (6663)", "SOX10B (6663)")


def make_release_b(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    target.chmod(0o755)
    maps = pd.read_csv(target / SEQUENCES, dtype=str, keep_default_na=False)
    dropped = maps["ModelID"].isin(DROPPED)
    logfc = pd.read_csv(target / LOGFC, index_col=0)
    logfc = logfc.drop(columns=maps.loc[dropped, "SequenceID"], errors="ignore")
    maps = maps[~dropped]
    maps.loc[maps["SequenceID"] == FLIPPED, "PassesQC"] = "False"
    of_batch = maps.loc[maps["pDNABatch"] == BATCH, "SequenceID"]
    logfc[logfc.columns.intersection([*of_batch])] += SHIFT
    logfc.to_csv(target / LOGFC)
    maps.to_csv(target / SEQUENCES, index=False)
    for table in (target / GUIDES, target / RNA):
        table.write_text(table.read_text().replace(*RENAMED))


@pytest.fixture
def two(working_folder: Path, shared: Path) -> ComparisonOutcome:
    source = shared / "data" / "avana_sample"
    make_release_b(source, working_folder / "b")
    a, b = (
        fit_screen(dataset_file(working_folder, str(tables), release), EXACT, pictures="none")
        for release, tables in (("24Q2", source), ("24Q4", working_folder / "b"))
    )
    return compare_runs(a.run_id, b.run_id)


def test_each_change_is_named_and_its_effect_put_down_to_it(two, working_folder: Path) -> None:
    found = two.found.comparison
    data = found.data
    assert data is not None
    assert {it.item: it.b for it in data.cell_lines_lost} == dict.fromkeys(DROPPED, "no sequence")
    assert [(one.item, one.cell_line, one.b) for one in data.sequences_lost] == [
        (FLIPPED, FLIPPED_LINE, "failed quality control")
    ]
    assert found.genes_renamed == dict([RENAMED])
    (batch,) = [one for one in data.batches if abs(one.shift) > 1e-6]
    assert batch.pdna_batch == BATCH and batch.shift == pytest.approx(SHIFT, abs=1e-6)

    # All guides of a batch alike: gamma takes it up, and no slope moves. Lost lines move them.
    steps = {step.name: step for step in found.steps}
    assert list(steps) == ["lost", "sequences", "values"]
    genes = two.found.genes.set_index("gene")
    for step in ("lost", "sequences"):
        assert steps[step].mean_abs_difference > 20 * steps["values"].mean_abs_difference
    parts = genes.filter(like="due_to_").sum(axis=1)
    assert parts.to_numpy() == pytest.approx(genes["difference"].to_numpy(), abs=1e-9)

    comparison, *parts = [
        run for run in runs_in(working_folder) if run.data.tags.get("kind") is not None
    ][::-1]
    assert comparison.info.run_id == two.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in parts} == {two.run_id}
    assert [run.info.status for run in parts] == ["FINISHED"] * 2
    page = comparison.data.tags["mlflow.note.content"]
    for name in (*DROPPED, FLIPPED, RENAMED[1], BATCH):
        assert name in page

    again = compare_runs(found.a.run_id, found.b.run_id)
    assert again.run_id == two.run_id and again.found.comparison == found
    pd.testing.assert_frame_equal(again.found.genes, two.found.genes)

"""Two releases of the real sample: the comparison names each change, and what it did to slopes."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from flows.compare_runs import ComparisonOutcome, compare_runs
from flows.fit_screen import fit_screen
from schemas.parameters import Filters, FitParameters
from tests.integration.runs import runs_in

pytestmark = [pytest.mark.slow, pytest.mark.integration]

LOGFC, SEQUENCES = "AvanaLogfoldChange.csv.gz", "ScreenSequenceMap.csv"
GUIDES, RNA = "AvanaGuideMap.csv", "OmicsExpressionProteinCodingGenesTPMLogp1.csv"
BATCH = "Avana-4"
SHIFT = 0.3  # log2
EXACT = FitParameters(model="m4", engine="exact")


@dataclass(frozen=True)
class Changes:
    """What release B has done to release A."""

    dropped: tuple[str, ...]
    """Cell lines."""
    flipped: str
    """A sequence that fails quality control now, of a line that has others."""
    flipped_line: str
    renamed: tuple[str, str]
    batch_lines: frozenset[str]
    """Lines with all their sequences in the batch that is shifted."""


def release(folder: Path, name: str, tables: Path) -> str:
    path = folder / f"{name}.yaml"
    dataset = {"name": "avana", "release": name, "library": "Avana", "folder": str(tables)}
    path.write_text(yaml.safe_dump(dataset))
    return str(path)


def make_release_b(source: Path, target: Path) -> Changes:
    """Copy the sample; drop lines, fail a replicate, rename a gene, shift a batch."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    target.chmod(0o755)
    maps = pd.read_csv(target / SEQUENCES, dtype=str, keep_default_na=False)
    logfc = pd.read_csv(target / LOGFC, index_col=0)
    rna = pd.read_csv(target / RNA, index_col=0)
    usable = maps[
        maps["SequenceID"].isin(logfc.columns)
        & (maps["PassesQC"] == "True")
        & maps["ModelID"].isin(rna.index)
    ]
    lines = sorted(usable["ModelID"].unique())
    of_batch = usable.groupby("ModelID")["pDNABatch"].agg(set)
    other = [line for line in lines if of_batch[line].isdisjoint({BATCH})]
    dropped = tuple(other[:3])
    replicates = usable.groupby("ModelID")["SequenceID"].agg(list)
    flipped_line = next(line for line in other[3:] if len(replicates[line]) > 1)
    flipped = replicates[flipped_line][0]
    gene = next(label for label in rna.columns if label.startswith("SOX10 "))
    renamed = (gene, gene.replace("SOX10", "SOX10B"))

    gone = maps.loc[maps["ModelID"].isin(dropped), "SequenceID"]
    logfc = logfc.drop(columns=logfc.columns.intersection(list(gone)))
    maps = maps[~maps["SequenceID"].isin(gone)]
    maps.loc[maps["SequenceID"] == flipped, "PassesQC"] = "False"
    of_the_batch = maps.loc[maps["pDNABatch"] == BATCH, "SequenceID"]
    batch = logfc.columns.intersection(list(of_the_batch))
    logfc[batch] += SHIFT
    guides = pd.read_csv(target / GUIDES, dtype=str, keep_default_na=False)
    guides["Gene"] = guides["Gene"].replace(*renamed)
    logfc.to_csv(target / LOGFC)
    maps.to_csv(target / SEQUENCES, index=False)
    guides.to_csv(target / GUIDES, index=False)
    rna.rename(columns=dict([renamed])).to_csv(target / RNA)
    whole = frozenset(line for line in lines if of_batch[line] == {BATCH})
    return Changes(dropped, flipped, flipped_line, renamed, whole)


@pytest.fixture
def two(working_folder: Path, shared: Path) -> tuple[Changes, ComparisonOutcome]:
    source = shared / "data" / "avana_sample"
    changes = make_release_b(source, working_folder / "b")
    a = fit_screen(release(working_folder, "24Q2", source), EXACT, pictures="none")
    b = fit_screen(release(working_folder, "24Q4", working_folder / "b"), EXACT, pictures="none")
    return changes, compare_runs(a.run_id, b.run_id)


def test_each_change_is_named_and_its_effect_put_down_to_it(two, working_folder: Path) -> None:
    changes, outcome = two
    found = outcome.found.comparison
    data = found.data
    assert data is not None
    assert {one.item: one.b for one in data.cell_lines_lost} == dict.fromkeys(
        changes.dropped, "no sequence"
    )
    assert not data.cell_lines_gained and not data.genes_gained
    # What only the lost lines expressed does not vary any more.
    assert {one.b for one in data.genes_lost} == {"RNA SD below 0.1"}
    assert [(one.item, one.cell_line, one.b) for one in data.sequences_lost] == [
        (changes.flipped, changes.flipped_line, "failed quality control")
    ]
    assert not data.sequences_gained and not data.rna_changed and not data.profiles_changed
    assert found.genes_renamed == dict([changes.renamed])
    assert changes.batch_lines <= set(data.values_changed)
    (batch,) = [one for one in data.batches if abs(one.shift) > 1e-6]
    assert batch.pdna_batch == BATCH
    assert batch.shift == pytest.approx(SHIFT, abs=1e-6)
    assert batch.spread == pytest.approx(0, abs=1e-6)

    # All guides of a batch alike: gamma takes it up, and no slope moves. Lost lines move them.
    steps = {step.name: step for step in found.steps}
    assert list(steps) == ["lost", "sequences", "values"]
    genes = outcome.found.genes.set_index("gene")
    for step in ("lost", "sequences"):
        assert steps[step].mean_abs_difference > 20 * steps["values"].mean_abs_difference
    parts = genes.filter(like="due_to_").sum(axis=1)
    assert parts.to_numpy() == pytest.approx(genes["difference"].to_numpy(), abs=1e-9)

    comparison, *parts = [
        run for run in runs_in(working_folder) if run.data.tags.get("kind") is not None
    ][::-1]
    assert comparison.info.run_id == outcome.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in parts} == {outcome.run_id}
    assert [run.info.status for run in parts] == ["FINISHED"] * 2
    page = comparison.data.tags["mlflow.note.content"]
    for name in (*changes.dropped, changes.flipped, changes.renamed[1], BATCH):
        assert name in page

    again = compare_runs(found.a.run_id, found.b.run_id)
    assert again.run_id == outcome.run_id
    assert again.found.comparison == found
    pd.testing.assert_frame_equal(again.found.genes, outcome.found.genes)
    pd.testing.assert_frame_equal(again.found.cell_lines, outcome.found.cell_lines)


def test_the_same_fit_twice_has_identical_draws_and_another_seed_has_not(
    working_folder: Path, shared: Path
) -> None:
    path = release(working_folder, "24Q4", shared / "data" / "avana_sample")
    few = EXACT.model_copy(update={"filters": Filters(genes=("SOX10", "MYB", "IRF4", "PAX8"))})
    other = few.model_copy(update={"seed": 7})
    a, b = (fit_screen(path, few, repeat=True, pictures="none").run_id for _ in range(2))
    twice = compare_runs(a, b).found.comparison
    assert twice.identical_draws and twice.identical
    assert twice.data is not None and twice.data.nothing and twice.steps == ()
    page = next(
        run.data.tags["mlflow.note.content"]
        for run in runs_in(working_folder)
        if run.data.tags.get("kind") == "comparison"
    )
    assert "Every draw of every parameter is identical" in page

    seeded = compare_runs(a, fit_screen(path, other, pictures="none").run_id).found.comparison
    assert seeded.identical_draws is False
    assert seeded.changed_parameters == {"seed": ("103", "7")}

"""A simulated release is written whole, is valid, and is exactly what was simulated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.preparation import prepare
from model.simulate_release import SimulatedRelease, simulate_release
from schemas.parameters import FitParameters
from schemas.simulation import Simulation
from tasks.out_files import FolderInUse
from tasks.read_dataset import load_dataset
from tasks.validate import validate
from tasks.write_simulation import write_release

PARAMETERS = FitParameters()


def written(folder: Path, **options: object) -> tuple[SimulatedRelease, str]:
    release = simulate_release(Simulation.model_validate(options))
    return release, str(write_release(release, folder))


@pytest.mark.parametrize("missing", [0, 0.5])
def test_a_written_release_gives_the_design_that_was_simulated(tmp_path, missing):
    release, file = written(
        tmp_path, genes=90, cell_lines=8, guides=3, replicates=3, missing=missing
    )
    valid = validate(load_dataset(file), PARAMETERS)
    findings = [finding.rule for finding in valid.report.findings]
    assert findings == (["logfc_missing"] if missing else [])
    assert valid.screen is not None and valid.statistics is not None
    design, report = prepare(valid.screen, valid.statistics, PARAMETERS, "log2_tpm")
    assert {loss.unit for loss in report.losses} == ({"measurement"} if missing else set())

    table = pd.read_csv(tmp_path / "AvanaLogfoldChange.csv", index_col=0)
    values = np.concatenate([values for _, values in release.blocks()])
    np.testing.assert_array_equal(table.to_numpy(), values)  # every digit
    assert list(table.index) == list(release.guides)
    assert list(table.columns) == list(release.sequences)

    cells = values.reshape(len(values), 8, 3)
    row = pd.Index(release.guides).get_indexer(pd.Index(design.guides))
    assert list(design.cell_lines) == list(release.cell_lines)
    np.testing.assert_array_equal(design.count, (~np.isnan(cells[row])).sum(axis=2))
    np.testing.assert_allclose(design.total, np.nansum(cells[row], axis=2), rtol=0, atol=1e-13)

    # The RNA that preparation standardises is that of the equation: the truth of beta is exact.
    gene = pd.Index(release.genes).get_indexer(pd.Index(design.genes))
    settings = release.settings
    steeper = settings.population.model_copy(update={"mu_beta": settings.population.mu_beta + 1})
    again = simulate_release(settings.model_copy(update={"true_values": steeper}))
    r = (again.cell_mean - release.cell_mean)[gene]  # a slope one higher adds r
    np.testing.assert_allclose(design.rna, r, rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean"])
def test_a_release_of_every_model_is_valid(tmp_path, model):
    _, file = written(tmp_path, model=model, genes=20, cell_lines=9)
    assert validate(load_dataset(file), PARAMETERS).report.findings == ()


def test_the_seed_determines_the_files(tmp_path):
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        written(tmp_path / name, genes=80, cell_lines=6, missing=0.1, seed=seed)
    one, two, three = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("one", "two", "three")
    )
    assert one == two
    assert len(one) == 7
    same = [name for name in one if one[name] == three[name]]
    assert same == ["ScreenSequenceMap.csv"]  # holds no number that is drawn


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderInUse, match=r"expected an empty folder.*notes\.txt; name another"):
        written(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(FolderInUse, match=r"notes\.txt is a file; name another"):
        written(tmp_path / "notes.txt")


class Breaking(SimulatedRelease):
    """A release whose second block fails."""

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        yield next(super().blocks())
        raise OSError(28, "No space left on device")


def test_a_failed_run_leaves_nothing_behind(tmp_path):
    progress: list[tuple[int, int]] = []
    release = simulate_release(Simulation(genes=100, cell_lines=5, guides=3))
    breaking = Breaking(**{name: getattr(release, name) for name in release.__dataclass_fields__})
    with pytest.raises(OSError, match="No space left"):
        write_release(breaking, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    write_release(release, tmp_path / "out", lambda *counts: progress.append(counts))
    assert progress == [(256, 300), (300, 300)]

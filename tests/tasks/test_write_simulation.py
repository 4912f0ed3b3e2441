"""A simulated release on disk: valid, exactly what was simulated, whole or not there at all."""

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
from tasks.validate import ValidatedScreen, validate
from tasks.write_simulation import write_release

PARAMETERS = FitParameters()


def written(folder: Path, **options: object) -> tuple[SimulatedRelease, ValidatedScreen]:
    release = simulate_release(Simulation.model_validate(options))
    dataset = write_release(release, folder)
    return release, validate(load_dataset(str(dataset)), PARAMETERS)


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean", "m4_nested"])
def test_validation_finds_nothing(tmp_path, model):
    _, valid = written(tmp_path, model=model, genes=20, cell_lines=9)
    assert valid.report.findings == ()


def test_with_missing_values_validation_warns_of_them_alone(tmp_path):
    _, valid = written(tmp_path, genes=70, cell_lines=9, missing=0.3)
    assert valid.report.passed
    assert [finding.rule for finding in valid.report.findings] == ["logfc_missing"]


@pytest.mark.parametrize("missing", [0, 0.5])
def test_the_design_holds_what_was_simulated(tmp_path, missing):
    release, valid = written(
        tmp_path, genes=90, cell_lines=8, guides=3, replicates=3, missing=missing
    )
    assert valid.screen is not None and valid.statistics is not None
    design, report = prepare(valid.screen, valid.statistics, PARAMETERS, "log2_tpm")
    assert {loss.unit for loss in report.losses} == ({"measurement"} if missing else set())

    values = np.concatenate([values for _, values in release.blocks()])
    cells = values.reshape(len(values), 8, 3)
    row = pd.Index(release.guides).get_indexer(pd.Index(design.guides))
    assert list(design.cell_lines) == list(release.cell_lines)
    np.testing.assert_array_equal(design.count, (~np.isnan(cells[row])).sum(axis=2))
    np.testing.assert_allclose(design.total, np.nansum(cells[row], axis=2), rtol=0, atol=1e-13)
    squares = np.zeros(design.rna.shape)
    np.add.at(squares, design.guide_gene, np.nansum(cells[row] ** 2, axis=2))
    np.testing.assert_allclose(design.sum_of_squares, squares)

    # The RNA that preparation standardises is that of the equation: the truth of beta is exact.
    gene = pd.Index(release.genes).get_indexer(pd.Index(design.genes))
    settings = release.settings
    steeper = settings.population.model_copy(update={"mu_beta": settings.population.mu_beta + 1})
    again = simulate_release(settings.model_copy(update={"true_values": steeper}))
    r = (again.cell_mean - release.cell_mean)[gene]  # a slope one higher adds r
    np.testing.assert_allclose(design.rna, r, rtol=0, atol=1e-12)


def test_every_digit_is_written(tmp_path):
    release, _ = written(tmp_path, genes=5, cell_lines=5, missing=0.1)
    table = pd.read_csv(tmp_path / "AvanaLogfoldChange.csv", index_col=0)
    values = np.concatenate([values for _, values in release.blocks()])
    np.testing.assert_array_equal(table.to_numpy(), values)
    assert list(table.index) == list(release.guides)
    assert list(table.columns) == list(release.sequences)


def test_equal_settings_give_equal_files(tmp_path):
    for name in ("one", "two"):
        written(tmp_path / name, genes=80, cell_lines=6, missing=0.1, seed=5)
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [file.name for file in one] == [file.name for file in two]
    assert len(one) == 7
    for first, second in zip(one, two, strict=True):
        assert first.read_bytes() == second.read_bytes()
    written(tmp_path / "three", genes=80, cell_lines=6, missing=0.1, seed=6)
    for first in one:
        if first.name not in ("ScreenSequenceMap.csv",):  # names no draw
            assert first.read_bytes() != (tmp_path / "three" / first.name).read_bytes()


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderInUse, match=r"expected an empty folder.*notes\.txt; name another"):
        written(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(FolderInUse, match=r"notes\.txt is a file; name another"):
        written(tmp_path / "notes.txt")


class Breaks(SimulatedRelease):
    """A release whose second block cannot be had."""

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        yield next(super().blocks())
        raise OSError(28, "No space left on device")


def test_of_a_run_that_fails_nothing_is_left(tmp_path):
    release = simulate_release(Simulation(genes=100, cell_lines=5))
    broken = Breaks(**{name: getattr(release, name) for name in release.__dataclass_fields__})
    with pytest.raises(OSError, match="No space left"):
        write_release(broken, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    write_release(release, tmp_path / "out")  # and the folder can be used


def test_progress_counts_guides(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    release = simulate_release(Simulation(genes=100, cell_lines=5, guides=3))
    write_release(release, tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(256, 300), (300, 300)]

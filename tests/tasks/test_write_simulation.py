"""A simulated release is written whole, is valid, and is exactly what was simulated."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.screen.preparation import prepare
from model.simulation.release import SimulatedRelease, simulate_release
from schemas.parameters import FitParameters
from schemas.simulation import Simulation
from tasks.reading.dataset_file import load_dataset
from tasks.reading.validate import validate
from tasks.write_simulation import write_release

PARAMETERS = FitParameters()


def written(folder: Path, **options: object) -> tuple[SimulatedRelease, str]:
    release = simulate_release(Simulation.model_validate(options))
    return release, str(write_release(release, folder))


@pytest.mark.parametrize("missing", [0, 0.5])
def test_a_written_release_gives_the_design_that_was_simulated(tmp_path, missing):
    release, file = written(
        tmp_path, model="m4", genes=90, cell_lines=8, guides=3, replicates=3, missing=missing
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
    assert (list(table.index), list(table)) == (list(release.guides), list(release.sequences))

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

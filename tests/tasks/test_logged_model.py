"""The model of a run: it predicts elsewhere, and is registered where it may be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlflow.artifacts
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from model.prediction import predict_logfc, thin_draws
from schemas.parameters import FitParameters
from tasks.tracking_run import (
    FitRun,
)
from tests.tasks.fits import (
    CELL_LINES,
    GENES,
    design_of,
    results_of,
)
from tests.tasks.stores import track

CLEAN_PROCESS = """
import sys

OURS = {"schemas", "model", "tasks", "flows", "deployments"}
UNWANTED = {"pymc", "pytensor", "arviz", "xarray", "h5netcdf", "prefect", "pandera"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in OURS | UNWANTED:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
model.predict(pd.read_csv(sys.argv[2])).to_csv(sys.argv[3], index=False)
"""


def logged_model_of(run: FitRun, stored: Run) -> str:
    assert stored.outputs is not None
    (output,) = stored.outputs.model_outputs
    return f"models:/{output.model_id}"


def predicted_elsewhere(uri: str, rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """What plain MLflow predicts in a process that has nothing of ours."""
    rows.to_csv(folder / "rows.csv", index=False)
    subprocess.run(
        [sys.executable, "-I", "-c", CLEAN_PROCESS, uri, "rows.csv", "predicted.csv"],
        cwd=folder,
        check=True,
        timeout=120,
    )
    return pd.read_csv(folder / "predicted.csv")


@pytest.mark.parametrize(("rna_is_log2", "units"), [(True, "log2_tpm"), (False, "z_score")])
def test_the_logged_model_predicts_where_nothing_of_ours_is_installed(
    working_folder: Path, rna_is_log2: bool, units: str
) -> None:
    parameters = FitParameters(model="m4" if rna_is_log2 else "m4_zero_mean")
    results = results_of(parameters, design=design_of(rna_is_log2=rna_is_log2))
    uri = logged_model_of(*track(results))
    rows = pd.DataFrame(
        {
            "gene": [GENES[0], GENES[2], GENES[1]],
            "cell_line": [CELL_LINES[1], "ACH-999999", CELL_LINES[0]],
            "rna": [2.5, 7.0, 4.0],
        }
    )
    predicted = predicted_elsewhere(uri, rows, working_folder)

    design = results.design
    mean, sd = (design.rna_mean, design.rna_sd) if rna_is_log2 else (np.zeros(3), np.ones(3))
    draws = thin_draws(results.tree["posterior"].to_dataset(), mean, sd)
    expected = predict_logfc(draws, *(rows[name].tolist() for name in rows))  # type: ignore[arg-type]
    for column, values in zip(["logfc_mean", "logfc_low", "logfc_high"], expected, strict=True):
        assert predicted[column].to_numpy() == pytest.approx(values, abs=1e-6)
    loaded = mlflow.pyfunc.load_model(uri)
    assert loaded.metadata.metadata == {"rna_units": units}
    assert loaded.metadata.get_input_schema().input_names() == ["gene", "cell_line", "rna"]
    (registered,) = MlflowClient().search_model_versions("name = 'Avana sample'")
    assert f"Column `rna` is in `{units}`" in str(registered.description)
    with pytest.raises(ValueError, match=r"expected genes of the fit .* NO1 \(1\)"):
        loaded.predict(rows.assign(gene="NO1 (1)"))


def test_the_logged_model_holds_no_pickle_and_pins_what_it_needs(working_folder: Path) -> None:
    run, stored = track(results_of())
    folder = Path(mlflow.artifacts.download_artifacts(logged_model_of(run, stored)))
    names = {path.name for path in folder.rglob("*.*")}
    assert {"effect_model.py", "prediction.py", "draws.npz", "input_example.json"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle"))]
    needed = (folder / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in needed] == ["mlflow", "numpy", "pandas", "scipy"]


def test_only_a_fit_that_may_be_used_is_registered_and_is_no_champion(working_folder: Path) -> None:
    first, _ = track(results_of(status="review"))
    client = first.client
    client.set_registered_model_alias("Avana sample", "champion", "1")
    assert client.get_model_version_by_alias("Avana sample", "challenger").run_id == first.run_id
    track(results_of(status="fail"))
    assert client.get_model_version_by_alias("Avana sample", "challenger").run_id == first.run_id
    third, _ = track(results_of())
    assert client.get_model_version_by_alias("Avana sample", "challenger").run_id == third.run_id

    versions = client.search_model_versions("name = 'Avana sample'")
    assert {version.run_id: version.tags["verdict"] for version in versions} == {
        first.run_id: "review",
        third.run_id: "pass",
    }
    assert versions[0].tags == {
        "model": "m4",
        "engine": "nuts",
        "data_digest": results_of().data_digest,
        "verdict": "pass",
        "release": "24Q4",
        "run": third.run_id,
    }
    assert str(versions[0].description).startswith("24Q4, m4 by nuts: 3 genes, 4 cell lines; ")
    registered = client.get_registered_model("Avana sample")
    assert registered.tags == {"dataset": "Avana sample", "library": "Avana"}
    assert "in the screen Avana sample (Avana)" in str(registered.description)
    champion = client.get_model_version_by_alias("Avana sample", "champion")
    assert champion.run_id == first.run_id

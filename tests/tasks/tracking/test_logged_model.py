"""The model of a run predicts elsewhere, and is registered where it may be used."""

import subprocess
import sys
from pathlib import Path

import mlflow.artifacts
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest

from model.prediction.portable import predict_logfc, thin_draws
from tests.tasks.fits import CELL_LINES, GENES, results_of
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
for number, uri in enumerate(sys.argv[1:]):
    model = mlflow.pyfunc.load_model(uri)
    model.predict(pd.read_csv("rows.csv")).to_csv(f"{number}.csv", index=False)
"""
ROWS = pd.DataFrame(
    {
        "gene": [GENES[0], GENES[2], GENES[1]],
        "cell_line": [CELL_LINES[1], "ACH-999999", CELL_LINES[0]],
        "rna": [2.5, 7.0, 4.0],
    }
)


def logged_model_of(tracked) -> str:
    (output,) = tracked.stored.outputs.model_outputs
    return f"models:/{output.model_id}"


def test_the_model_predicts_where_nothing_of_ours_is_installed(nuts_fit, exact_fit, tmp_path):
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    uris = [logged_model_of(fit) for fit in (nuts_fit, exact_fit)]
    command = [sys.executable, "-I", "-c", CLEAN_PROCESS, *uris]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    for number, fit in enumerate((nuts_fit, exact_fit)):
        draws = thin_draws(fit.results.tree["posterior"].to_dataset(), fit.results.design)
        predicted = pd.read_csv(tmp_path / f"{number}.csv")
        assert list(predicted) == ["logfc_mean", "logfc_low", "logfc_high"]
        expected = predict_logfc(draws, ROWS["gene"], ROWS["cell_line"], {"rna": ROWS["rna"]})
        np.testing.assert_allclose(predicted.to_numpy().T, expected, atol=1e-6)


@pytest.mark.parametrize(("fit", "units"), [("nuts_fit", "log2_tpm"), ("exact_fit", "z_score")])
def test_the_model_says_the_units_of_rna_and_refuses_other_genes(fit, units, request):
    tracked = request.getfixturevalue(fit)
    loaded = mlflow.pyfunc.load_model(logged_model_of(tracked))
    assert loaded.metadata.metadata == {"rna_units": units}
    assert loaded.metadata.run_id == tracked.run.run_id
    assert loaded.metadata.get_input_schema().input_names() == list(ROWS)
    with pytest.raises(ValueError, match=r"expected genes of the fit .* NO1 \(1\)"):
        loaded.predict(ROWS.assign(gene="NO1 (1)"))
    (version,) = tracked.run.client.search_model_versions(f"run_id = '{tracked.run.run_id}'")
    assert mlflow.pyfunc.load_model(version.source).metadata.run_id == tracked.run.run_id


def test_the_logged_model_holds_no_pickle_and_pins_what_it_needs(nuts_fit):
    folder = Path(mlflow.artifacts.download_artifacts(logged_model_of(nuts_fit)))
    names = {path.name for path in folder.rglob("*.*")}
    assert {"effect_model.py", "prediction.py", "draws.npz", "input_example.json"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle"))]
    needed = (folder / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in needed] == ["mlflow", "numpy", "pandas", "scipy"]


def test_only_a_fit_that_may_be_used_is_registered_and_is_no_champion(nuts_fit, exact_fit):
    track(results_of(status="fail"))
    client, name = nuts_fit.run.client, "Avana sample"
    versions = client.search_model_versions(f"name = '{name}'")
    assert {one.run_id for one in versions} == {nuts_fit.run.run_id, exact_fit.run.run_id}
    # The first was made the champion before the second was registered.
    for alias, fit in (("champion", nuts_fit), ("challenger", exact_fit)):
        assert client.get_model_version_by_alias(name, alias).run_id == fit.run.run_id

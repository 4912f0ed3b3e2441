"""The champion where ScreenBayes is not installed: in an environment with what the model asks for.

That nothing of ours is imported when a model is loaded is tested in `tests/tasks/test_track.py`
already; here the requirements it travels with are enough.
"""

import os
import subprocess
import sys
from pathlib import Path

import mlflow.artifacts
import numpy as np
import pandas as pd
import pytest

from model.prediction import predict_logfc, thin_draws
from tasks.tracking_run import FitRun
from tests.tasks.fits import CELL_LINES, GENES, design_of, tree_of
from tests.tasks.stores import fitted

pytestmark = [pytest.mark.slow, pytest.mark.integration]

ROOT = Path(__file__).resolve().parents[2]
DATASET = "Avana sample"
PREDICT = f"""
import importlib.util, sys
import mlflow.pyfunc, pandas as pd
for name in ("schemas", "model", "tasks", "pymc", "arviz", "xarray", "prefect"):
    assert importlib.util.find_spec(name) is None, name
model = mlflow.pyfunc.load_model("models:/{DATASET}@champion")
model.predict(pd.read_csv(sys.argv[1])).to_csv(sys.argv[2], index=False)
"""


@pytest.fixture
def champion(tmp_path, monkeypatch) -> FitRun:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    run = fitted()
    run.client.set_registered_model_alias(DATASET, "champion", "1")
    return run


@pytest.fixture
def environment(champion: FitRun, tmp_path: Path) -> Path:
    """Python of an environment made from the requirements of the registered model alone."""
    uv = ROOT / ".uv" / "bin" / "uv"
    if not uv.exists():
        pytest.skip(f"no {uv}: `sh bootstrap.sh uv` puts it there")
    version = champion.client.get_model_version_by_alias(DATASET, "champion")
    requirements = mlflow.artifacts.download_artifacts(f"{version.source}/requirements.txt")
    python = tmp_path / "elsewhere" / "bin" / "python"
    # The machine's own certificates, as in bootstrap.sh.
    settings = {"UV_SYSTEM_CERTS": "1", "UV_HTTP_TIMEOUT": "180", **os.environ}
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(python.parents[1])],
        ["pip", "install", "--quiet", "--python", str(python), "-r", requirements],
    ):
        done = subprocess.run(
            [str(uv), *command], env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return python


def test_the_champion_predicts_from_its_requirements_alone(champion, environment, tmp_path):
    rows = pd.DataFrame(
        {
            "gene": [GENES[0], GENES[2], GENES[1]],
            "cell_line": [CELL_LINES[1], "a new line", CELL_LINES[0]],
            "rna": [2.5, 7.0, 4.0],
        }
    )
    rows.to_csv("rows.csv", index=False)
    done = subprocess.run(
        [str(environment), "-I", "-c", PREDICT, "rows.csv", "predicted.csv"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    predicted = pd.read_csv("predicted.csv")

    design = design_of()
    draws = thin_draws(tree_of()["posterior"].to_dataset(), design.rna_mean, design.rna_sd)
    expected = predict_logfc(draws, *(rows[name].tolist() for name in rows))
    assert list(predicted) == ["logfc_mean", "logfc_low", "logfc_high"]
    np.testing.assert_allclose(predicted.to_numpy(), np.transpose(expected), atol=1e-6)

"""The real sample, from its published tables to a verdict, against lme4's estimates."""

import json
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
import pytest
import yaml

from deployments.cli.app import main
from deployments.cli.exit_codes import DONE
from model.effects.copy_number import FLAG
from schemas.column_catalog import COPY_NUMBER_OF_GENES
from tests.integration.runs import artifact, runs_in

pytestmark = [pytest.mark.slow, pytest.mark.integration]


def dataset_file(folder: Path, tables: str, release: str = "sample") -> str:
    dataset = {"name": "avana", "release": release, "library": "Avana", "folder": tables}
    path = folder / f"{release}.yaml"
    path.write_text(yaml.safe_dump(dataset))
    return str(path)


def verdict_of(run):
    return json.loads(artifact(run, "verdict.json").read_text(encoding="utf-8"))


def test_m4_screen_passes_where_the_others_are_flagged(working_folder, shared):
    path = dataset_file(working_folder, str(shared / "data" / "avana_sample"))
    for model in ("m4", "m4_nested", "m4_screen"):
        assert main(["fit", path, "--model", model, "--pictures", "none"]) == DONE
    screen, nested, flagged = map(verdict_of, runs_in(working_folder))
    assert flagged["status"] == "review" and "within_cell_correlation" in flagged["reasons"][0]
    assert [screen["status"], nested["status"]] == ["pass", "review"]
    assert "slope_tails" in nested["reasons"][0] and "--model m4_screen" in nested["reasons"][0]
    assert len(nested["reasons"]) == 1 and not screen["reasons"]
    # Noisy genes and lines are in the data whatever the model: a note, and no reason.
    assert any("line_noise_spread" in note for note in nested["notes"])

    run = runs_in(working_folder)[0]
    effects = pd.read_parquet(artifact(run, "gene_effects.parquet"))
    assert {*COPY_NUMBER_OF_GENES} <= {*effects.columns}
    assert run.data.metrics["n_genes_carried_by_copy_number"] == effects[FLAG].sum() <= 6
    assert effects["copy_number_slope"].mean() == pytest.approx(-0.236, abs=0.02)
    model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    rows = pd.DataFrame({"gene": "KRAS (3845)", "cell_line": "new", "rna": [6.0, 6.0]})
    few, many = model.predict(rows.assign(copy_number=[1.0, 3.0]))["logfc_mean"]
    assert few - many == pytest.approx(0.6, abs=0.2)

"""The real sample, from its published tables to a verdict, against lme4's estimates."""

import json
from pathlib import Path

import boto3
import mlflow.pyfunc
import pandas as pd
import pytest
import yaml

from deployments.cli.app import main
from deployments.cli.exit_codes import DONE, VERDICT_FAIL
from model.effects.copy_number import FLAG
from schemas.column_catalog import COPY_NUMBER_OF_GENES
from tests.integration.runs import artifact, inputs_of, runs_in, summary_of

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


def test_the_same_from_a_bucket(working_folder, shared, s3_bucket):
    """Dataset file and tables in S3: the same data digest, design and draws as from the disk."""
    folder = shared / "data" / "avana_sample"
    store = boto3.client("s3")
    for table in folder.iterdir():
        store.upload_file(str(table), s3_bucket, f"24Q4/{table.name}")
    local = dataset_file(working_folder, str(folder))
    (working_folder / "remote").mkdir()
    remote = dataset_file(working_folder / "remote", "24Q4")
    store.upload_file(remote, s3_bucket, "avana.yaml")

    few = ["--model", "m4_zero_mean", "--draws", "500", "--pictures", "none"]
    few += ["--genes", "SOX10", "MYB"]
    for path in (f"s3://{s3_bucket}/avana.yaml", local):
        assert main(["fit", path, *few]) in (DONE, VERDICT_FAIL)
    from_disk, from_bucket = runs_in(working_folder)
    assert from_bucket.data.tags["data_digest"] == from_disk.data.tags["data_digest"]
    pd.testing.assert_frame_equal(summary_of(from_bucket), summary_of(from_disk))
    sources = [entry.dataset.source for entry in inputs_of(from_bucket)]
    assert all(s3_bucket in source for source in sources)

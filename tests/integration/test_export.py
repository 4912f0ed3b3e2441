"""`screenbayes export`: the files are those that were tracked."""

import json
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import pytest

from deployments.cli.app import main
from tests.tasks.fits import results_of
from tests.tasks.stores import track

pytestmark = [pytest.mark.integration]


def test_an_export_returns_what_was_tracked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results = results_of()
    run, _ = track(results)
    assert main(["export", "latest", "--out", "there/export"]) == 0
    folder = Path("there/export")
    expected = results.effects.reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "gene_effects.parquet"), expected)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "gene_effects.csv"), expected)
    tree = az.from_netcdf(folder / "posterior.nc")
    np.testing.assert_array_equal(tree["posterior"]["beta_g"], results.tree["posterior"]["beta_g"])
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert about["run_id"] == run.run_id and about["tags"]["model"] == "m4"
    assert not [tag for tag in about["tags"] if tag.startswith("mlflow.")]
    assert {path.name for path in (folder / "plots").iterdir()} == {"trace.png", "volcano.png"}
    assert [path.name for path in Path("there").iterdir()] == ["export"]
    assert "gene_effects.csv" in capsys.readouterr().out
    assert main(["export", run.run_id, "--out", "small", "--no-draws"]) == 0
    assert not Path("small/posterior.nc").exists() and Path("small/summary.csv").exists()

"""`screenbayes export`: what comes out is what was tracked, whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import pytest

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT
from schemas.parameters import FitParameters
from tasks.track import track_fit
from tasks.tracking_run import open_run, seen_to_its_end
from tests.tasks.fits import REPORT, results_of

pytestmark = [pytest.mark.integration]


@pytest.fixture
def tracked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results = results_of(FitParameters(model="m4"))
    with seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run:
        track_fit(run, results, REPORT, lambda: 25.0)
    return results, run


def test_a_fit_comes_back_as_it_was(tracked, capsys):
    results, run = tracked
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


def test_the_documented_python_gives_it_back(tracked):
    results, run = tracked
    page = Path(__file__).parents[2].joinpath("docs", "results.md").read_text(encoding="utf-8")
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block.replace("avana", results.dataset.name), names)
    assert names["run"] == run.run_id
    expected = results.tree["posterior"]["beta_g"].sel(gene="SOX10 (6663)")
    np.testing.assert_array_equal(names["beta"], expected)
    pd.testing.assert_frame_equal(names["genes"], results.effects.reset_index(drop=True))


def test_the_draws_may_be_left_out(tracked):
    assert main(["export", tracked[1].run_id, "--out", "small", "--no-draws"]) == 0
    assert not Path("small/posterior.nc").exists() and Path("small/summary.csv").exists()


def test_what_cannot_be_exported_leaves_nothing(tracked, capsys):
    _, run = tracked
    assert main(["export", "0" * 32, "--out", "none"]) == BAD_INPUT
    assert "there is no" in capsys.readouterr().err
    unfinished = run.client.create_run(run.experiment_id).info.run_id
    assert main(["export", unfinished, "--out", "none"]) == BAD_INPUT
    assert "is RUNNING" in capsys.readouterr().err
    assert not Path("none").exists()
    Path("full").mkdir()
    Path("full/mine.txt").write_text("keep", encoding="utf-8")
    assert main(["export", run.run_id, "--out", "full"]) == BAD_INPUT
    assert "holds mine.txt" in capsys.readouterr().err
    assert Path("full/mine.txt").read_text(encoding="utf-8") == "keep"

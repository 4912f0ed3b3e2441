"""`screenbayes export`: the files are those that were tracked, all of them or none."""

import json
from collections.abc import Iterator
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import pytest

from deployments.cli.app import main
from deployments.cli.exit_codes import BAD_INPUT
from model.fit import FitResults
from schemas.parameters import FitParameters
from tasks.tracking.run import FitRun
from tests.tasks.fits import results_of
from tests.tasks.stores import track

pytestmark = [pytest.mark.integration]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FitResults, FitRun]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("export"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        results = results_of(FitParameters(model="m4"))
        yield results, track(results)[0]


def test_an_export_returns_what_was_tracked(tracked, capsys):
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
    assert main(["export", run.run_id, "--out", "small", "--no-draws"]) == 0
    assert not Path("small/posterior.nc").exists() and Path("small/summary.csv").exists()


def test_what_cannot_be_exported_leaves_nothing(tracked, capsys):
    _, run = tracked
    unfinished = run.client.create_run(run.experiment_id).info.run_id
    for name, words in (("0" * 32, "expected the id of a run"), (unfinished, "is RUNNING")):
        assert main(["export", name, "--out", "none"]) == BAD_INPUT
        assert words in capsys.readouterr().err
    assert not Path("none").exists()
    Path("full").mkdir()
    Path("full/mine.txt").write_text("keep", encoding="utf-8")
    assert main(["export", run.run_id, "--out", "full"]) == BAD_INPUT
    assert "holds mine.txt" in capsys.readouterr().err
    assert Path("full/mine.txt").read_text(encoding="utf-8") == "keep"

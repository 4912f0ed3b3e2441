"""A fit read from MLflow is the one that was tracked, and `show` prints it or one of its genes."""

import json
import re
from pathlib import Path

import arviz as az
import pandas as pd
import xarray as xr

from deployments.cli.app import main
from deployments.cli.exit_codes import BAD_INPUT, DONE
from tasks.reports.fit import result_markdown
from tasks.reports.gene import describe_flags
from tasks.tracking.stored_fit import read_stored_fit
from tests.faults.commands import contents


def test_all_parts_are_those_that_were_tracked_and_arviz_understands_them(nuts_fit):
    results, fit = nuts_fit.results, read_stored_fit(nuts_fit.run.run_id)
    assert repr(fit.convergence) == repr(results.convergence)  # NaN equals nothing
    assert list(fit.checks["p_value"]) == [check.p_value for check in results.checks]
    assert result_markdown(fit) == result_markdown(results)
    xr.testing.assert_identical(fit.posterior["prior"].dataset, results.tree["prior"].dataset)
    assert az.loo(fit.posterior).n_data_points == 12


def test_a_run_or_a_gene_is_shown(nuts_fit, capsys):
    run, dataset = nuts_fit.run, nuts_fit.results.dataset.name
    tags = {"kind": "comparison", "mlflow.note.content": "# No changes"}
    other = run.client.create_run(run.experiment_id, tags=tags).info.run_id
    for command, code, words in (
        (["show", "latest", "--dataset", dataset], DONE, (dataset, "Verdict", "explorer.html")),
        (["show", run.run_id[:9], "--gene", "sox10"], DONE, ("(6663)", "guide 4", "ACH-000003")),
        (["show", run.run_id, "--gene", "SOX11"], BAD_INPUT, ("did you mean SOX10?",)),
        (["show", other], DONE, ("No changes",)),
        (["runs"], DONE, (run.run_id[:8], other[:8], "review", "running")),
    ):
        assert main(command) == code
        shown = " ".join("".join(capsys.readouterr()).split())
        assert [word for word in words if word not in shown] == [] and "guide 3" not in shown
    run.client.delete_run(other)


def test_an_export_has_the_files_that_were_tracked(nuts_fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_id = nuts_fit.run.run_id
    assert main(["export", run_id, "--out", "there/export"]) == DONE
    exported = contents(Path("there/export"))
    about = json.loads(exported.pop(Path("run.json")))
    assert exported == contents(nuts_fit.files) and about["run_id"] == run_id
    assert not [tag for tag in about["tags"] if tag.startswith("mlflow.")]
    assert [path.name for path in Path("there").iterdir()] == ["export"]
    assert main(["export", run_id, "--out", "small", "--no-draws"]) == DONE
    assert not Path("small/posterior.nc").exists() and Path("small/summary.csv").exists()
    assert main(["export", run_id, "--out", "tables", "--tables-only"]) == DONE
    files = {path.name for path in Path("tables").rglob("*")}
    assert {"run.json", "gene_effects.csv", "fitted_cells.parquet"} < files
    assert {path.rsplit(".")[-1] for path in files} == {"json", "csv", "parquet"}


def test_flags_are_described():
    flags = {"carried_by_one_line": True, "most_influential_line": "L1", "influence": 1.26}
    flags |= {"marks_lineage": True, "beta_within_lineage_mean": -0.125}
    described = describe_flags(pd.Series(flags, dtype=object))
    assert all(map(re.search, ("L1 .*[+]1.3 SD", "marks a lineage.*-0.125"), described))

"""What a run in MLflow holds, and where to look at it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import arviz as az
import mlflow.artifacts
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import TypeAdapter

from model.influence import Influence
from schemas.identity import fit_key, parameters_digest
from schemas.parameters import Filters, FitParameters
from schemas.posterior import CONTRACTS, posterior_digest
from schemas.reports import (
    Convergence,
    InfluenceSummary,
    KnownGenes,
    LooSummary,
    PredictiveCheck,
    TableSummary,
    ValidationReport,
    Verdict,
)
from tasks.artifacts import environment
from tasks.track import track_fit
from tasks.tracking_run import (
    code_version,
    open_run,
    seen_to_its_end,
    where_to_look,
)
from tests.tasks.fits import (
    GENES,
    KNOWN,
    PNG,
    REPORT,
    check_of,
    convergence_of,
    results_of,
)
from tests.tasks.stores import run_at, track


def test_a_run_bears_its_names_tags_and_parameters(working_folder: Path) -> None:
    results = results_of(status="review")
    run, stored = track(results)

    assert run.client.get_experiment(run.experiment_id).name == "Avana sample"
    assert stored.info.run_name == "24Q4 m4 nuts"
    assert stored.info.status == "FINISHED"
    tags = {key: text for key, text in stored.data.tags.items() if not key.startswith("mlflow.")}
    assert tags == {
        "dataset": "Avana sample",
        "release": "24Q4",
        "library": "Avana",
        "model": "m4",
        "engine": "nuts",
        "data_digest": results.data_digest,
        "parameters_digest": parameters_digest(results.parameters),
        "fit_key": fit_key(results.dataset, results.data_digest, results.parameters),
        "code_version": code_version(),
        "verdict": "review",
        "posterior_digest": posterior_digest(results.tree["posterior"].dataset),
    }
    note = stored.data.tags["mlflow.note.content"]
    assert note.startswith("Verdict: **review** · [report](#/experiments/")
    assert "- R-hat is 1.7; draw more.\n- note: The check of sd stands out." in note
    assert stored.data.params == {
        name: str(value) for name, value in FitParameters().flat().items()
    }


def test_the_metrics_are_those_of_the_design(working_folder: Path) -> None:
    _, stored = track(results_of())
    metrics = stored.data.metrics
    assert 0 < metrics.pop("seconds_track") < 60
    assert metrics == {
        "rhat_max": 1.004,
        "ess_bulk_min": 812.5,
        "ess_tail_min": 640.0,
        "divergences": 0,
        "bfmi_min": 0.9,
        "elpd_loo": -61.5,
        "elpd_loo_se": 4.5,
        "p_loo": 7.25,
        "loo_pareto_k_bad": 0.125,
        "calls_negative": 1,
        "calls_positive": 0,
        "calls_none": 1,
        "calls_not_enough_data": 1,
        "ppc_sd": 0.31,
        "ppc_mean": 0.52,
        "ppc_prior_mean": 0.9,
        "n_genes": 3,
        "n_cell_lines": 4,
        "n_guides": 6,
        "n_measurements": 48,
        "seconds_total": 30.0,
        "seconds_validate": 1.5,
        "seconds_prepare": 0.5,
        "seconds_fit": 20.0,
        "seconds_checks": 2.0,
    }


def test_the_metrics_of_an_integration_are_its_own(working_folder: Path) -> None:
    _, stored = track(results_of(engine="exact"))
    metrics = stored.data.metrics
    assert metrics.keys().isdisjoint({"divergences", "bfmi_min"})
    own = ("pareto_k", "importance_efficiency", "log_evidence")
    assert [metrics[name] for name in own] == [0.125, 0.875, -123.456]
    assert (metrics["log_evidence_mcse"], metrics["interpolation_error"]) == (0.004, 0.0003)
    assert metrics["rhat_max"] == 1.004


def test_a_run_is_named_and_tagged_by_the_engine_that_ran(working_folder: Path) -> None:
    results = results_of(FitParameters(engine="auto"), engine="exact")
    with seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run:
        assert run.client.get_run(run.run_id).info.run_name == "24Q4 m4 auto"
        track_fit(run, results, REPORT, lambda: 30.0)
    stored = run.client.get_run(run.run_id)
    assert stored.info.run_name == "24Q4 m4 exact"
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["engine"] == "exact"
    assert stored.data.params["engine"] == "auto"
    (version,) = run.client.search_model_versions(f"run_id = '{run.run_id}'")
    assert version.tags["engine"] == "exact"


def test_every_table_is_an_input_with_its_digest(working_folder: Path) -> None:
    results = results_of()
    tables = results.validation.tables
    moved = tables[0].model_copy(update={"location": "s3://screens/guide_map.csv"})
    validation = results.validation.model_copy(update={"tables": (moved, *tables[1:])})
    _, stored = track(replace(results, validation=validation))
    assert stored.inputs is not None
    inputs = {entry.dataset.name: entry.dataset for entry in stored.inputs.dataset_inputs}
    assert {name: entry.digest for name, entry in inputs.items()} == {
        "guide_map": "0" * 36,
        "logfc": "1" * 36,
        "rna": "2" * 36,
    }
    assert inputs["guide_map"].source_type == "s3"
    assert inputs["rna"].source_type == "local"
    assert "/release/rna.csv" in inputs["rna"].source


def test_absent_evidence_is_neither_zero_nor_below_a_limit(working_folder: Path) -> None:
    unknown, stored = track(results_of(convergence=convergence_of(rhat_max=float("nan"))))
    assert np.isnan(stored.data.metrics["rhat_max"])

    known, _ = track(results_of())
    good = known.client.search_runs([known.experiment_id], "metrics.rhat_max < 1.01")
    assert [run.info.run_id for run in good] == [known.run_id]
    assert unknown.experiment_id == known.experiment_id


def test_agreement_with_known_genes_is_tracked(working_folder: Path) -> None:
    run, stored = track(replace(results_of(), known_genes=KNOWN))
    assert stored.data.metrics["known_auc"] == 0.91
    assert np.isnan(stored.data.metrics["known_enrichment_p"])
    path = run.client.download_artifacts(run.run_id, "known_genes.json")
    again = KnownGenes.model_validate_json(Path(path).read_text(encoding="utf-8"))
    assert again.n_negative == 9 and np.isnan(again.enrichment_p)


def test_all_files_are_there_and_can_be_read_back(working_folder: Path) -> None:
    parameters = FitParameters(filters=Filters(genes=tuple(f"G{n} ({n})" for n in range(1000))))
    convergence = convergence_of(bfmi_min=float("nan"), ess_bulk_min=float("inf"))
    checks = (check_of("sd", float("nan")),)
    results = replace(results_of(parameters, convergence=convergence), checks=checks)
    run, _ = track(results)
    folder = Path(run.client.download_artifacts(run.run_id, ""))

    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == {
        *("posterior.nc", "summary.csv", "gene_effects.csv", "gene_effects.parquet"),
        "genes_without_effect.csv",
        *("fitted_cells.parquet", "loo_cells.parquet", "loo.json", "parameters.json"),
        *("validation.json", "preparation.json", "convergence.json", "predictive_checks.json"),
        *("verdict.json", "report.html", "model_graph.svg", "environment.txt"),
        *("plots/trace.png", "plots/volcano.png"),
        *(f"screen/{name}.parquet" for name in ("sequences", "guides", "genes", "cell_lines")),
        "screen/design.nc",
    }
    pd.testing.assert_frame_equal(pd.read_csv(folder / "summary.csv"), results.summary)
    for table in (
        pd.read_csv(folder / "gene_effects.csv", float_precision="round_trip"),
        pd.read_parquet(folder / "gene_effects.parquet"),
    ):
        pd.testing.assert_frame_equal(table, results.effects)
    read = {path.stem: path.read_bytes() for path in folder.glob("*.json")}
    assert ValidationReport.model_validate_json(read["validation"]) == results.validation
    assert Verdict.model_validate_json(read["verdict"]) == results.verdict
    (check,) = TypeAdapter(tuple[PredictiveCheck, ...]).validate_json(read["predictive_checks"])
    assert np.isnan(check.p_value)
    stored = Convergence.model_validate_json(read["convergence"])
    assert stored.nuts is not None and stored.exact is None
    assert np.isnan(stored.nuts.bfmi_min) and stored.ess_bulk_min == np.inf
    assert FitParameters.model_validate_json(read["parameters"]) == parameters
    cells = pd.read_parquet(folder / "fitted_cells.parquet")
    pd.testing.assert_frame_equal(cells, results.fitted_cells)
    left_out = pd.read_parquet(folder / "loo_cells.parquet")
    pd.testing.assert_frame_equal(left_out, results.loo.cells)
    assert LooSummary.model_validate_json(read["loo"]) == results.loo.summary
    assert (folder / "plots" / "trace.png").read_bytes() == PNG
    assert (folder / "report.html").read_text() == REPORT


def test_what_leaving_lines_out_has_shown_is_kept(working_folder: Path) -> None:
    tables = {
        name: pd.DataFrame({"gene": GENES, "change_in_sd": [value, 0.5, -1.5]})
        for name, value in (("lines", 1.0), ("line_influence", 2.0), ("lineage_sensitivity", 3.0))
    }
    summary = InfluenceSummary(
        elpd_lolo=-70.5,
        elpd_lolo_se=5.5,
        pareto_k_max=float("nan"),
        n_genes=3,
        n_genes_of_screen=3,
        n_genes_carried_by_one_line=2,
        n_lineages=4,
        n_genes_carried_by_one_lineage=1,
        n_genes_marking_a_lineage=1,
    )
    influence = Influence(summary=summary, genes=tables["lines"], **tables)
    run, stored = track(replace(results_of(), influence=influence))
    measured = {
        "elpd_lolo": -70.5,
        "elpd_lolo_se": 5.5,
        "n_genes_carried_by_one_line": 2,
        "n_genes_carried_by_one_lineage": 1,
        "n_genes_marking_a_lineage": 1,
    }
    assert stored.data.metrics.items() >= measured.items()
    folder = Path(run.client.download_artifacts(run.run_id, ""))
    files = {"lines_left_out": "lines"} | {name: name for name in tables if name != "lines"}
    for file, name in files.items():
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{file}.parquet"), tables[name])
    kept = InfluenceSummary.model_validate_json((folder / "influence.json").read_bytes())
    assert np.isnan(kept.pareto_k_max)
    assert kept.n_lineages == 4

    unknown = replace(influence, summary=summary.model_copy(update={"n_lineages": 0}))
    without = replace(unknown, lineage_sensitivity=None)
    run, stored = track(replace(results_of(), influence=without))
    assert "n_genes_marking_a_lineage" not in stored.data.metrics
    folder = Path(run.client.download_artifacts(run.run_id, ""))
    assert not (folder / "lineage_sensitivity.parquet").exists()


def test_the_posterior_comes_back_as_it_was(working_folder: Path) -> None:
    results = results_of()
    run, _ = track(results)
    path = run.client.download_artifacts(run.run_id, "posterior.nc")
    with xr.open_datatree(path, engine="h5netcdf") as stored:
        CONTRACTS["m4"].check(stored)
        for group in results.tree.children:
            xr.testing.assert_equal(stored[group].to_dataset(), results.tree[group].to_dataset())
        assert stored["sample_stats"]["diverging"].dtype == bool
        assert stored["posterior"]["gene"].to_numpy().tolist() == list(GENES)
    assert len(az.summary(az.from_netcdf(path), var_names=["beta_g"])) == len(GENES)


def test_the_environment_lists_what_is_installed() -> None:
    lines = environment().splitlines()
    assert f"numpy=={np.__version__}" in lines
    assert lines[0].startswith(f"# Python {sys.version_info.major}.{sys.version_info.minor}.")


def test_the_digest_is_of_content_by_table_whatever_the_order() -> None:
    results = results_of()

    def digest_of(*tables: tuple[str, str], location: str = "a") -> str:
        summaries = tuple(
            TableSummary(
                table=table, location=location, layout="current", n_rows=1, n_columns=1, sha256=sha
            )
            for table, sha in tables
        )
        validation = results.validation.model_copy(update={"tables": summaries})
        return replace(results, validation=validation).data_digest

    digest = digest_of(("rna", "1"), ("logfc", "2"))
    assert digest == "2bdcbb1bdada11754b0092a0ddceb39ca4cd11e2f7ff449c4688d5dc93c1acc8"
    assert digest == digest_of(("logfc", "2"), ("rna", "1"), location="elsewhere")
    assert digest != digest_of(("rna", "2"), ("logfc", "1"))
    assert digest != digest_of(("rna", "1"))


# ---- where to look


def test_a_working_folder_with_a_space_holds_its_own_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my screen"
    folder.mkdir()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    run, _ = track(results_of())
    assert "mlflow ui   and open" in where_to_look(run)
    assert (folder / "mlflow.db").is_file()
    (registered,) = run.client.search_model_versions("name = 'Avana sample'")
    model = mlflow.pyfunc.load_model(registered.source)
    assert model.metadata.run_id == run.run_id
    assert [path.name for path in tmp_path.iterdir()] == ["my screen"]


def test_mlflow_is_named_by_its_path_where_it_is_not_on_the_path(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    look = where_to_look(run_at(f"sqlite:///{working_folder}/mlflow.db"))
    assert look.startswith(f"{Path(sys.executable).with_name('mlflow')} ui ")


def test_the_way_to_a_run_depends_on_the_store(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    page = "#/experiments/7/runs/abc?workflowType=machine_learning"
    default = run_at(f"sqlite:///{working_folder}/mlflow.db")
    assert where_to_look(default) == f"mlflow ui   and open   http://127.0.0.1:5000/{page}"
    elsewhere = where_to_look(run_at("sqlite:////data/other store.db"))
    assert elsewhere.startswith("mlflow ui --backend-store-uri 'sqlite:////data/other store.db' ")
    assert where_to_look(run_at("https://a:b@mlflow.example/")) == (
        f"https://***@mlflow.example/{page}"
    )


def test_the_code_version_names_the_commit() -> None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    commit = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    assert commit.stdout.strip() in code_version()

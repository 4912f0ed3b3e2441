"""What the MLflow run of a fit holds, and that all of it can be read back."""

from __future__ import annotations

import json
from dataclasses import replace

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import TypeAdapter

from schemas.identity import fit_key, parameters_digest
from schemas.parameters import FitParameters
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
from tasks.tracking_run import code_version
from tests.tasks.fits import GENES, KNOWN, PNG, REPORT, results_of

SIZES = {"n_genes": 3, "n_cell_lines": 4, "n_guides": 6, "n_measurements": 48}
SECONDS = {"total": 30.0, "validate": 1.5, "prepare": 0.5, "fit": 20.0, "checks": 2.0}
CALLS = {"negative": 1, "positive": 0, "none": 1, "not_enough_data": 1}
OF_ANY = (
    {"ess_tail_min": 640.0, "elpd_loo": -61.5, "elpd_loo_se": 4.5, "p_loo": 7.25}
    | {"loo_pareto_k_bad": 0.125, "elpd_lolo": -70.5, "elpd_lolo_se": 5.5}
    | {"n_genes_carried_by_one_line": 2, "ppc_sd": 0.31, "ppc_mean": 0.52, "ppc_prior_mean": 0.9}
    | {f"calls_{call}": n for call, n in CALLS.items()}
    | {f"seconds_{step}": seconds for step, seconds in SECONDS.items()}
    | SIZES
)
OF_NUTS = {"rhat_max": np.nan, "ess_bulk_min": 812.5, "divergences": 0, "bfmi_min": 0.9} | {
    f"known_{name}": value for name, value in KNOWN.model_dump().items()
}
OF_LINEAGES = {"n_genes_carried_by_one_lineage": 1, "n_genes_marking_a_lineage": 0}
OF_EXACT = (
    {"rhat_max": 1.004, "ess_bulk_min": 812.5, "pareto_k": 0.125, "importance_efficiency": 0.875}
    | {"log_evidence": -123.456, "log_evidence_mcse": 0.004, "interpolation_error": 0.0003}
)  # fmt: skip


def test_a_run_has_the_tags_and_settings_of_its_fit(nuts_fit) -> None:
    results, run, stored = nuts_fit.results, nuts_fit.run, nuts_fit.stored
    assert run.client.get_experiment(run.experiment_id).name == "Avana sample"
    assert (stored.info.run_name, stored.info.status) == ("24Q4 m4 nuts", "FINISHED")
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
    settings = {name: str(value) for name, value in results.parameters.flat().items()}
    genes = settings.pop("filters.genes")
    kept = dict(stored.data.params)
    assert genes.startswith(kept.pop("filters.genes"))  # MLflow cuts it
    assert kept == settings


def test_a_run_begun_with_auto_has_the_name_and_tag_of_the_engine_that_ran(exact_fit) -> None:
    stored = exact_fit.stored
    assert stored.info.run_name == "24Q4 m4_zero_mean exact"
    assert (stored.data.tags["engine"], stored.data.params["engine"]) == ("exact", "auto")
    client = exact_fit.run.client
    (version,) = client.search_model_versions(f"run_id = '{exact_fit.run.run_id}'")
    assert version.tags["engine"] == "exact"


@pytest.mark.parametrize(
    ("fit", "measured"),
    [("nuts_fit", OF_ANY | OF_NUTS | OF_LINEAGES), ("exact_fit", OF_ANY | OF_EXACT)],
)
def test_the_metrics_are_those_of_fit_and_engine(fit, measured, request) -> None:
    metrics = dict(request.getfixturevalue(fit).stored.data.metrics)
    assert 0 < metrics.pop("seconds_track") < 60
    assert metrics == pytest.approx(measured, rel=0, abs=0, nan_ok=True)


def test_a_search_for_a_limit_does_not_find_an_unknown_value(nuts_fit, exact_fit) -> None:
    run = exact_fit.run
    good = run.client.search_runs([run.experiment_id], "metrics.rhat_max < 1.01")
    ids = {found.info.run_id for found in good}
    assert run.run_id in ids and nuts_fit.run.run_id not in ids
    assert nuts_fit.run.experiment_id == run.experiment_id


def test_every_table_is_an_input_with_its_digest(nuts_fit) -> None:
    inputs = [entry.dataset for entry in nuts_fit.stored.inputs.dataset_inputs]
    assert {(one.name, one.digest, one.source_type, one.source) for one in inputs} == {
        (name, f"{number}" * 36, kind, json.dumps({"uri": f"{place}/{name}.csv"}))
        for number, (name, kind, place) in enumerate(
            [("guide_map", "s3", "s3://screens"), ("logfc", "local", "/release"),
             ("rna", "local", "/release")]
        )
    }  # fmt: skip


def test_all_files_are_there_and_can_be_read_back(nuts_fit, exact_fit) -> None:
    results, folder = nuts_fit.results, nuts_fit.files
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert names == {
        *("posterior.nc", "summary.csv", "gene_effects.csv", "gene_effects.parquet"),
        *("genes_without_effect.csv", "fitted_cells.parquet", "loo_cells.parquet", "loo.json"),
        *("parameters.json", "validation.json", "preparation.json", "convergence.json"),
        *("predictive_checks.json", "known_genes.json", "influence.json", "verdict.json"),
        *("lines_left_out.parquet", "line_influence.parquet", "lineage_sensitivity.parquet"),
        *("report.html", "model_graph.svg", "environment.txt"),
        *("plots/trace.png", "plots/volcano.png", "screen/design.nc"),
        *(f"screen/{name}.parquet" for name in ("sequences", "guides", "genes", "cell_lines")),
    }
    other = {path.relative_to(exact_fit.files).as_posix() for path in exact_fit.files.rglob("*.*")}
    assert names - other == {
        *("known_genes.json", "lineage_sensitivity.parquet", "model_graph.svg")
    }

    effects = pd.read_csv(folder / "gene_effects.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(effects, results.effects)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "summary.csv"), results.summary)
    for name, table in {
        "gene_effects": results.effects,
        "fitted_cells": results.fitted_cells,
        "loo_cells": results.loo.cells,
        "lines_left_out": results.influence.lines,
        "line_influence": results.influence.line_influence,
        "lineage_sensitivity": results.influence.lineage_sensitivity,
    }.items():
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), table)
    for name, kind, report in (
        ("validation", ValidationReport, results.validation),
        ("verdict", Verdict, results.verdict),
        ("parameters", FitParameters, results.parameters),
        ("loo", LooSummary, results.loo.summary),
        ("convergence", Convergence, results.convergence),
        ("influence", InfluenceSummary, results.influence.summary),
        ("known_genes", KnownGenes, KNOWN),
    ):
        read = kind.model_validate_json((folder / f"{name}.json").read_bytes())
        assert read == report or repr(read) == repr(report)  # NaN equals nothing
    checks = (folder / "predictive_checks.json").read_bytes()
    assert TypeAdapter(tuple[PredictiveCheck, ...]).validate_json(checks) == results.checks
    assert (folder / "plots" / "trace.png").read_bytes() == PNG
    assert (folder / "report.html").read_text() == REPORT


def test_the_posterior_comes_back_as_it_was(nuts_fit) -> None:
    path = nuts_fit.files / "posterior.nc"
    with xr.open_datatree(path, engine="h5netcdf") as stored:
        CONTRACTS["m4"].check(stored)
        tree = nuts_fit.results.tree
        for group in tree.children:
            xr.testing.assert_identical(stored[group].to_dataset(), tree[group].to_dataset())
        assert stored["sample_stats"]["diverging"].dtype == bool
    assert len(az.summary(az.from_netcdf(path), var_names=["beta_g"])) == len(GENES)


def test_the_environment_lists_python_and_what_is_installed() -> None:
    first, _, *packages = environment().splitlines()
    assert first.startswith("# Python 3.")
    assert f"numpy=={np.__version__}" in packages and packages == sorted(packages, key=str.lower)


def test_the_data_digest_is_of_the_content_by_table() -> None:
    results = results_of()

    def digest_of(*tables: tuple[str, str], location: str = "a") -> str:
        size = {"layout": "current", "n_rows": 1, "n_columns": 1}
        summaries = tuple(
            TableSummary(table=table, location=location, sha256=sha, **size)
            for table, sha in tables
        )
        validation = results.validation.model_copy(update={"tables": summaries})
        return replace(results, validation=validation).data_digest

    digest = digest_of(("rna", "1"), ("logfc", "2"))
    assert digest == "2bdcbb1bdada11754b0092a0ddceb39ca4cd11e2f7ff449c4688d5dc93c1acc8"
    assert digest == digest_of(("logfc", "2"), ("rna", "1"), location="elsewhere")
    assert digest not in (digest_of(("rna", "2"), ("logfc", "1")), digest_of(("rna", "1")))

"""What the MLflow run of a fit holds, and that all of it can be read back."""

import json

import pandas as pd
import pytest

from schemas.digests import fit_key, parameters_digest
from schemas.formatting import cut_list
from schemas.posterior import posterior_digest
from tasks.tracking.run import code_version
from tests.tasks.fits import KNOWN, PNG, REPORT
from tests.tasks.reports.pages import require_page


@pytest.mark.parametrize("engine", ["nuts", "exact"])
def test_a_run_holds_names_tags_metrics_inputs_files_and_versions(engine, request):
    tracked = request.getfixturevalue(f"{engine}_fit")
    results, run, stored = tracked.results, tracked.run, tracked.stored
    tags = {key: text for key, text in stored.data.tags.items() if not key.startswith("mlflow.")}
    digests = {
        "data_digest": results.data_digest,
        "parameters_digest": parameters_digest(results.parameters),
        "fit_key": fit_key(results.dataset, results.data_digest, results.parameters),
        "posterior_digest": posterior_digest(results.tree["posterior"].dataset),
    }
    # The commit may move while tests run.
    assert tags.pop("code_version").partition("+")[0] == code_version().partition("+")[0]
    assert {name: tags.pop(name) for name in digests} == digests
    metrics = dict(stored.data.metrics)
    assert 0 < metrics.pop("seconds_track") < 60
    (version,) = run.client.search_model_versions(f"run_id = '{run.run_id}'")
    assert version.tags.pop("run") == run.run_id
    assert version.tags.pop("data_digest") == results.data_digest
    registered = run.client.get_registered_model(version.name)
    folder = tracked.files
    held = {
        "experiment": run.client.get_experiment(run.experiment_id).name,
        "name": stored.info.run_name,
        "status": stored.info.status,
        "note": [
            paragraph.partition(" [report]")[0]
            for paragraph in stored.data.tags["mlflow.note.content"].split("\n\n")[:2]
        ],
        "tags": tags,
        "metrics": metrics,
        "inputs": [
            {"name": one.name, "digest": one.digest, "type": one.source_type, "source": one.source}
            for one in (entry.dataset for entry in stored.inputs.dataset_inputs)
        ],
        "files": [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")],
        "version": {"tags": version.tags, "description": version.description},
        "model": {"tags": registered.tags, "description": registered.description},
    }
    held["inputs"].sort(key=str)
    held["files"].sort()
    require_page(f"run_{engine}.json", json.dumps(held, indent=1, sort_keys=True) + "\n")

    settings = {name: str(value) for name, value in results.parameters.flat().items()}
    kept = dict(stored.data.params)
    # MLflow would cut a long list of genes in the middle of a name.
    settings["filters.genes"] = cut_list(settings["filters.genes"], 6000)
    assert kept == settings


def test_a_search_for_a_limit_does_not_find_an_unknown_value(nuts_fit, exact_fit):
    run = exact_fit.run
    good = run.client.search_runs([run.experiment_id], "metrics.rhat_max < 1.01")
    ids = {found.info.run_id for found in good}
    assert run.run_id in ids and nuts_fit.run.run_id not in ids
    assert nuts_fit.run.experiment_id == run.experiment_id


def test_all_files_can_be_read_back(nuts_fit):
    results, folder = nuts_fit.results, nuts_fit.files
    for name, table in {"summary": results.summary, "gene_effects": results.effects}.items():
        pd.testing.assert_frame_equal(pd.read_csv(folder / f"{name}.csv"), table)
    for name, table in {
        "gene_effects": results.effects,
        "fitted_cells": results.fitted_cells,
        "loo_cells": results.loo.cells,
        "lines_left_out": results.influence.lines,
        "line_influence": results.influence.line_influence,
        "lineage_sensitivity": results.influence.lineage_sensitivity,
    }.items():
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), table)
    for name, report in {
        "validation": results.validation,
        "verdict": results.verdict,
        "loo": results.loo.summary,
        "convergence": results.convergence,
        "influence": results.influence.summary,
        "known_genes": KNOWN,
    }.items():
        read = type(report).model_validate_json((folder / f"{name}.json").read_bytes())
        assert repr(read) == repr(report)  # NaN equals nothing
    assert (folder / "plots" / "trace.png").read_bytes() == PNG
    assert (folder / "report.html").read_text() == REPORT.html
    assert (folder / "explorer.html").read_text() == REPORT.explorer

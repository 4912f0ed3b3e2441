"""What a run in MLflow holds, how it ends, and that nothing unfinished is ever called FINISHED."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import arviz as az
import mlflow.artifacts
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from pydantic import TypeAdapter

from model.influence import Influence
from model.prediction import predict_logfc, thin_draws
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
from tasks.artifacts import FitResults, environment
from tasks.logged_model import register_version
from tasks.track import track_fit
from tasks.tracking_run import (
    LONGEST_FAILURE,
    FitRun,
    TakenOver,
    TrackingError,
    code_version,
    open_run,
    seen_to_its_end,
    where_to_look,
    without_password,
)
from tests.tasks.fits import (
    CELL_LINES,
    GENES,
    KNOWN,
    PNG,
    REPORT,
    check_of,
    convergence_of,
    dataset_of,
    design_of,
    results_of,
)


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store after its migrations, which take a second each time."""
    store = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{store}").search_experiments()
    return store


@pytest.fixture
def working_folder(
    fresh_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An empty working folder with an empty default store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(fresh_store, tmp_path / "mlflow.db")
    yield tmp_path


def track(results: FitResults) -> tuple[FitRun, Run]:
    with seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run:
        track_fit(run, results, REPORT, lambda: 30.0)
    return run, run.client.get_run(run.run_id)


def only_run(client: MlflowClient) -> Run:
    (found,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return found


# ---- what a run holds


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


# ---- how a run ends


@pytest.mark.parametrize(
    ("trouble", "status", "failure"),
    [
        (ValueError("no\n  genes"), "FAILED", "ValueError: no genes"),
        (ValueError("x" * 5000), "FAILED", ("ValueError: " + "x" * 5000)[:LONGEST_FAILURE]),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
    ],
)
def test_a_run_that_is_broken_off_says_so(
    working_folder: Path, trouble: BaseException, status: str, failure: str
) -> None:
    with (
        pytest.raises(type(trouble)),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)) as run,
    ):
        assert run.client.get_run(run.run_id).info.status == "RUNNING"
        raise trouble
    stored = only_run(run.client)
    assert stored.info.status == status
    assert stored.data.tags["failure"] == failure


def test_a_run_left_without_results_has_failed(working_folder: Path) -> None:
    with seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)) as run:
        pass
    stored = only_run(run.client)
    assert stored.info.status == "FAILED"
    assert stored.data.tags["failure"] == "the fit ended without results"


def test_trouble_after_the_results_are_stored_changes_nothing(working_folder: Path) -> None:
    results = results_of()
    with (
        pytest.raises(RuntimeError),
        seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run,
    ):
        track_fit(run, results, REPORT, lambda: 1.0)
        raise RuntimeError
    stored = only_run(run.client)
    assert stored.info.status == "FINISHED"
    assert "failure" not in stored.data.tags


@pytest.mark.parametrize(
    "step", ["log_inputs", "log_artifacts", "log_model_artifacts", "create_model_version"]
)
def test_a_refused_upload_fails_the_run_and_keeps_the_files(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(MlflowClient, step, refuse)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    results = results_of()
    with (
        pytest.raises(TrackingError, match=r"disk full.*results are kept in") as error,
        seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run,
    ):
        track_fit(run, results, REPORT, lambda: 1.0)
    kept = Path(str(error.value).rpartition(" ")[2])
    assert (kept / "artifacts" / "posterior.nc").is_file()
    assert only_run(run.client).info.status == "FAILED"


def test_a_full_disk_says_where_the_files_are_and_what_to_do(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", full)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    expected = r"No space left on device; make room .* TMPDIR .* results are kept in "
    with pytest.raises(TrackingError, match=expected) as error:
        track(results_of())
    assert [file.name for file in Path(str(error.value).rpartition(" ")[2]).iterdir()] == [
        "unfinished"
    ]


def test_trouble_that_nobody_foresaw_keeps_the_files_and_says_where(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tasks.track.log_effect_model", broken)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    with pytest.raises(ZeroDivisionError) as error:
        track(results_of())
    (kept,) = working_folder.glob("screenbayes-*")
    assert (kept / "artifacts" / "posterior.nc").is_file()
    assert error.value.__notes__ == [f"the results are kept in {kept}"]


def interrupted() -> Exception:
    """What is raised where a call fails because of Ctrl-C."""
    error = RuntimeError("the server is gone")
    error.__context__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), interrupted()])
def test_nothing_is_left_behind_on_an_interrupt(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def stopped(*arguments: object, **named: object) -> None:
        raise stop

    monkeypatch.setattr("tasks.track.log_effect_model", stopped)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    with pytest.raises(type(stop)):
        track(results_of())
    assert not list(working_folder.glob("screenbayes-*"))
    assert only_run(MlflowClient()).info.status == "KILLED"


def test_nothing_is_left_behind_when_all_is_stored(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    track(results_of())
    assert not list(working_folder.glob("screenbayes-*"))


# ---- passwords

SECRET = "http://user:se@cret@mlflow.example"


@pytest.mark.parametrize("step", ["create_run", "log_artifacts"])
@pytest.mark.parametrize("trouble", [MlflowException, OSError])
def test_no_traceback_shows_the_password(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception], step: str
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise trouble(f"no route to {SECRET}/api")

    monkeypatch.setattr(MlflowClient, step, refuse)
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    try:
        track(results_of())
    except TrackingError:
        shown = traceback.format_exc()
    assert "no route to http://***@mlflow.example/api" in shown
    assert "cret" not in shown


def test_a_password_is_neither_in_the_reason_of_a_run_nor_in_its_repr(working_folder: Path) -> None:
    with (
        pytest.raises(ValueError, match="refused"),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)) as run,
    ):
        raise ValueError(f"refused by {SECRET}/api")
    assert only_run(run.client).data.tags["failure"].endswith("by http://***@mlflow.example/api")
    assert "cret" not in repr(run_at(SECRET))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://user:secret@host/a", "http://***@host/a"),
        ("postgresql://user:s@c:r@host:5432/a", "postgresql://***@host:5432/a"),
        ("http://a:b@one/x http://c:d@two/y@z", "http://***@one/x http://***@two/y@z"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
    ],
)
def test_user_and_password_are_masked(text: str, masked: str) -> None:
    assert without_password(text) == masked


# ---- stores that are not there


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://user:secret@127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def broken_server() -> Iterator[str]:
    """A gateway whose MLflow is down."""

    class BadGateway(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(502)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), BadGateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def absent_server() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("server", ["silent_server", "broken_server", "absent_server"])
def test_a_dead_server_is_named_within_seconds(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = request.getfixturevalue(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    started = time.monotonic()
    with (
        pytest.raises(TrackingError, match=r"does not answer.*MLFLOW_TRACKING_URI") as error,
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)),
    ):
        pytest.fail("a run was started")
    assert time.monotonic() - started < 15
    assert without_password(uri) in str(error.value)
    assert "secret" not in str(error.value)


def test_a_server_that_dies_during_the_fit_hides_no_error(
    working_folder: Path, absent_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        pytest.raises(ValueError, match="the real trouble"),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)) as run,
    ):
        run.uri = absent_server
        raise ValueError("the real trouble")
    assert "could not be set FAILED" in caplog.text


def test_a_store_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    with (
        pytest.raises(TrackingError, match=r"file/mlflow\.db.*MLFLOW_TRACKING_URI"),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)),
    ):
        pytest.fail("a run was started")


def test_a_deleted_experiment_is_named_with_the_way_back(working_folder: Path) -> None:
    client = MlflowClient()
    client.delete_experiment(client.create_experiment("Avana sample"))
    with (
        pytest.raises(TrackingError, match=r"has been deleted.*mlflow experiments restore -x 1"),
        seen_to_its_end(open_run(dataset_of(), FitParameters(), "0" * 64)),
    ):
        pytest.fail("a run was started")


@pytest.mark.integration
def test_processes_that_start_together_on_a_fresh_store_all_succeed(tmp_path: Path) -> None:
    script = (
        "from schemas.dataset import Dataset\n"
        "from schemas.parameters import FitParameters\n"
        "from tasks.tracking_run import open_run, seen_to_its_end\n"
        "dataset = Dataset(name='Avana', release='24Q4', library='Avana', folder='release')\n"
        "with seen_to_its_end(open_run(dataset, FitParameters(), '0')) as run: run.finish()\n"
    )
    environment = {key: text for key, text in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    together = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=120)[1].decode() for process in together]
    assert [process.returncode for process in together] == [0] * 3, errors
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("Avana")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3


def test_a_run_closed_from_outside_is_not_finished_by_who_had_opened_it(
    working_folder: Path,
) -> None:
    results = results_of()
    with (
        pytest.raises(TakenOver, match="given to another"),
        seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run,
    ):
        MlflowClient().set_terminated(run.run_id, "KILLED")
        track_fit(run, results, REPORT, lambda: 30.0)
    assert only_run(run.client).info.status == "KILLED"
    assert not run.client.search_model_versions()


def test_a_run_closed_while_it_is_registered_leaves_no_version(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who closed it saw none yet, and could not withdraw it."""

    def register_and_be_closed(run: FitRun, *others: object) -> None:
        register_version(run, *others)  # type: ignore[arg-type]
        MlflowClient().set_terminated(run.run_id, "KILLED")

    monkeypatch.setattr("tasks.track.register_version", register_and_be_closed)
    results = results_of()
    with (
        pytest.raises(TakenOver, match="given to another"),
        seen_to_its_end(open_run(results.dataset, results.parameters, results.data_digest)) as run,
    ):
        track_fit(run, results, REPORT, lambda: 30.0)
    assert not run.client.search_model_versions()


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


def run_at(uri: str) -> FitRun:
    return FitRun(MlflowClient(), uri, "7", "abc")


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


# ---- the logged model

CLEAN_PROCESS = """
import sys

OURS = {"schemas", "model", "tasks", "flows", "deployments"}
UNWANTED = {"pymc", "pytensor", "arviz", "xarray", "h5netcdf", "prefect", "pandera"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in OURS | UNWANTED:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
model.predict(pd.read_csv(sys.argv[2])).to_csv(sys.argv[3], index=False)
"""


def logged_model_of(run: FitRun, stored: Run) -> str:
    assert stored.outputs is not None
    (output,) = stored.outputs.model_outputs
    return f"models:/{output.model_id}"


def predicted_elsewhere(uri: str, rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """What plain MLflow predicts in a process that has nothing of ours."""
    rows.to_csv(folder / "rows.csv", index=False)
    subprocess.run(
        [sys.executable, "-I", "-c", CLEAN_PROCESS, uri, "rows.csv", "predicted.csv"],
        cwd=folder,
        check=True,
        timeout=120,
    )
    return pd.read_csv(folder / "predicted.csv")


@pytest.mark.parametrize(("rna_is_log2", "units"), [(True, "log2_tpm"), (False, "z_score")])
def test_the_logged_model_predicts_where_nothing_of_ours_is_installed(
    working_folder: Path, rna_is_log2: bool, units: str
) -> None:
    parameters = FitParameters(model="m4" if rna_is_log2 else "m4_zero_mean")
    results = results_of(parameters, design=design_of(rna_is_log2=rna_is_log2))
    uri = logged_model_of(*track(results))
    rows = pd.DataFrame(
        {
            "gene": [GENES[0], GENES[2], GENES[1]],
            "cell_line": [CELL_LINES[1], "ACH-999999", CELL_LINES[0]],
            "rna": [2.5, 7.0, 4.0],
        }
    )
    predicted = predicted_elsewhere(uri, rows, working_folder)

    design = results.design
    mean, sd = (design.rna_mean, design.rna_sd) if rna_is_log2 else (np.zeros(3), np.ones(3))
    draws = thin_draws(results.tree["posterior"].to_dataset(), mean, sd)
    expected = predict_logfc(draws, *(rows[name].tolist() for name in rows))  # type: ignore[arg-type]
    for column, values in zip(["logfc_mean", "logfc_low", "logfc_high"], expected, strict=True):
        assert predicted[column].to_numpy() == pytest.approx(values, abs=1e-6)
    loaded = mlflow.pyfunc.load_model(uri)
    assert loaded.metadata.metadata == {"rna_units": units}
    assert loaded.metadata.get_input_schema().input_names() == ["gene", "cell_line", "rna"]
    (registered,) = MlflowClient().search_model_versions("name = 'Avana sample'")
    assert f"Column `rna` is in `{units}`" in str(registered.description)
    with pytest.raises(ValueError, match=r"expected genes of the fit .* NO1 \(1\)"):
        loaded.predict(rows.assign(gene="NO1 (1)"))


def test_the_logged_model_holds_no_pickle_and_pins_what_it_needs(working_folder: Path) -> None:
    run, stored = track(results_of())
    folder = Path(mlflow.artifacts.download_artifacts(logged_model_of(run, stored)))
    names = {path.name for path in folder.rglob("*.*")}
    assert {"effect_model.py", "prediction.py", "draws.npz", "input_example.json"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle"))]
    needed = (folder / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in needed] == ["mlflow", "numpy", "pandas", "scipy"]


def test_only_a_fit_that_may_be_used_is_registered_and_is_no_champion(working_folder: Path) -> None:
    first, _ = track(results_of(status="review"))
    client = first.client
    client.set_registered_model_alias("Avana sample", "champion", "1")
    assert client.get_model_version_by_alias("Avana sample", "challenger").run_id == first.run_id
    track(results_of(status="fail"))
    assert client.get_model_version_by_alias("Avana sample", "challenger").run_id == first.run_id
    third, _ = track(results_of())
    assert client.get_model_version_by_alias("Avana sample", "challenger").run_id == third.run_id

    versions = client.search_model_versions("name = 'Avana sample'")
    assert {version.run_id: version.tags["verdict"] for version in versions} == {
        first.run_id: "review",
        third.run_id: "pass",
    }
    assert versions[0].tags == {
        "model": "m4",
        "engine": "nuts",
        "data_digest": results_of().data_digest,
        "verdict": "pass",
        "release": "24Q4",
        "run": third.run_id,
    }
    assert str(versions[0].description).startswith("24Q4, m4 by nuts: 3 genes, 4 cell lines; ")
    registered = client.get_registered_model("Avana sample")
    assert registered.tags == {"dataset": "Avana sample", "library": "Avana"}
    assert "in the screen Avana sample (Avana)" in str(registered.description)
    champion = client.get_model_version_by_alias("Avana sample", "champion")
    assert champion.run_id == first.run_id

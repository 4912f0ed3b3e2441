"""What the MLflow run of a fit holds: metrics, tags, inputs, artifacts, logged model.

The life of a run is in `tasks.tracking.run`, its files in `tasks.tracking.artifacts`, its model in
`tasks.tracking.logged_model`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, RunTag
from pydantic import BaseModel

from model.effects.copy_number import FLAG as COPY_NUMBER_FLAG
from model.effects.gene_effects import count_calls
from model.runtime.progress import ProgressCallback, no_progress
from schemas.errors import describe_os_error, was_interrupted
from schemas.posterior import posterior_digest
from schemas.reports import PredictiveCheck, TableSummary
from schemas.trace import TraceOrigin
from tasks.runtime.files import TEMPORARY
from tasks.runtime.stopwatch import Stopwatch
from tasks.tracking.artifacts import write_artifacts
from tasks.tracking.logged_model import log_effect_model, register_version
from tasks.tracking.registry import delete_run_versions
from tasks.tracking.run import (
    FitRun,
    RunReassigned,
    metrics_of,
    run_name,
)
from tasks.tracking.store import TrackingError, tracking_errors
from tasks.tracking.ui import NOTE, run_note

if TYPE_CHECKING:
    from model.fit import FitResults
    from tasks.reports.figures import FitReport

N_STEPS = 4
"""Of `track_fit`, as its progress counts them."""
LONGEST_DIGEST = 36  # characters that MLflow takes


def track_fit(
    run: FitRun,
    results: FitResults,
    report: FitReport,
    stopwatch: Stopwatch,
    progress: ProgressCallback = no_progress,
) -> None:
    """Store results and report in the run and, when everything is stored, set it FINISHED.

    The model is registered under the name of the dataset unless the verdict is `fail`. The total of
    `stopwatch` is taken last; `progress` counts files written, files sent, model, and the end.
    Raises TrackingError, which names the folder that keeps the files, if they cannot be written or
    MLflow refuses them.
    """
    started = time.perf_counter()
    tags = {
        "model": results.parameters.model,
        "engine": results.engine,
        "data_digest": results.data_digest,
        "verdict": results.verdict.status,
    }
    client, run_id = run.client, run.run_id
    with _folder_kept_on_trouble() as folder:
        unfinished = folder / "unfinished"
        unfinished.mkdir()
        write_artifacts(results, report, unfinished)
        files = unfinished.rename(folder / "artifacts")
        progress(1, N_STEPS)
        with tracking_errors(run.uri):
            client.log_inputs(run_id, _inputs(results))
            client.log_artifacts(run_id, str(files))
            progress(2, N_STEPS)
            posterior = results.tree["posterior"].to_dataset()
            model = log_effect_model(run, posterior, results.design, folder / "model", tags)
            progress(3, N_STEPS)
            seconds = {
                **stopwatch.seconds,
                "track": time.perf_counter() - started,
                "total": stopwatch.total(),
            }
            run_tags = {
                **tags,
                "posterior_digest": posterior_digest(posterior),
                NOTE: run_note(results, run.experiment_id, run_id, explorer=bool(report.explorer)),
            }
            client.log_batch(
                run_id,
                metrics=metrics_of(_measures(results) | _named("seconds", seconds)),
                tags=[RunTag(key, value) for key, value in run_tags.items()],
            )
            # Begun under the engine that was asked for, which may have been `auto`.
            name = run_name(results.dataset, tags["model"], tags["engine"], results.origin)
            client.update_run(run_id, name=name)
            if results.verdict.status != "fail":
                run.require_open()  # a process that was taken for dead registers nothing
                of_version = {"release": results.dataset.release, "run": run_id}
                register_version(run, model, results, tags | of_version)
            try:
                run.finish()
            except RunReassigned:  # between registering and finishing: who took over saw no version
                delete_run_versions(client, results.dataset.name, run_id)
                raise
    progress(N_STEPS, N_STEPS)


def _measures(results: FitResults) -> dict[str, float]:
    convergence, preparation = results.convergence, results.preparation
    return {
        "rhat_max": convergence.rhat_max,
        "ess_bulk_min": convergence.ess_bulk_min,
        "ess_tail_min": convergence.ess_tail_min,
        **_of(convergence.nuts, "divergences", "bfmi_min"),
        **_of(
            convergence.exact,
            "pareto_k",
            "importance_efficiency",
            "log_evidence",
            "log_evidence_mcse",
            "interpolation_error",
        ),
        **_of(convergence.gibbs, "accepted_spread", "accepted_lines", "accepted_line_sds"),
        "elpd_loo": results.loo.summary.elpd_loo,
        "elpd_loo_se": results.loo.summary.elpd_loo_se,
        "p_loo": results.loo.summary.p_loo,
        "loo_pareto_k_bad": results.loo.summary.pareto_k_bad,
        **_influence_measures(results),
        **_copy_number_measures(results.effects),
        "n_genes": preparation.n_genes,
        "n_cell_lines": preparation.n_cell_lines,
        "n_guides": preparation.n_guides,
        "n_measurements": preparation.n_measurements,
        **_named(
            "calls",
            {call.replace(" ", "_"): n for call, n in count_calls(results.effects).items()},
        ),
        **(
            {} if results.known_genes is None else _named("known", results.known_genes.model_dump())
        ),
    } | _named("ppc", {_check_name(check): check.p_value for check in results.checks})


def _influence_measures(results: FitResults) -> dict[str, float]:
    if results.influence is None:
        return {}
    summary = results.influence.summary
    of_lineages = ("n_genes_carried_by_one_lineage", "n_genes_marking_a_lineage")
    return _of(
        summary,
        *(() if summary.elpd_lolo is None else ("elpd_lolo", "elpd_lolo_se")),
        "n_genes_carried_by_one_line",
        *(of_lineages if summary.n_lineages else ()),
    )


def _copy_number_measures(effects: pd.DataFrame) -> dict[str, float]:
    if COPY_NUMBER_FLAG not in effects:
        return {}
    return {f"n_genes_{COPY_NUMBER_FLAG}": int(effects[COPY_NUMBER_FLAG].sum())}


def _of(diagnostics: BaseModel | None, *names: str) -> dict[str, float]:
    """Return these of some diagnostics; none where there are none, as of another engine."""
    return {} if diagnostics is None else {name: getattr(diagnostics, name) for name in names}


def _check_name(check: PredictiveCheck) -> str:
    return check.name if check.stage == "posterior" else f"prior_{check.name}"


def _named(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in values.items()}


def _inputs(results: FitResults) -> list[DatasetInput]:
    """Return what the fit has read, with digests."""
    tables = [_input(table) for table in results.validation.tables]
    if results.origin is None:
        return tables
    return [*tables, _trace_input(results.origin)]


def _trace_input(origin: TraceOrigin) -> DatasetInput:
    source = Dataset(
        name="trace",
        digest=origin.sha256[:LONGEST_DIGEST],
        source_type=_source_type(origin.location),
        source=json.dumps({"uri": origin.location}),
        profile=json.dumps({"sampled_by": origin.imported_from}),
    )
    return DatasetInput(source, [InputTag("mlflow.data.context", "import")])


def _source_type(location: str) -> str:
    return "s3" if location.startswith("s3://") else "local"


def _input(table: TableSummary) -> DatasetInput:
    source = Dataset(
        name=table.table,
        digest=table.sha256[:LONGEST_DIGEST],
        source_type=_source_type(table.location),
        source=json.dumps({"uri": table.location}),
        profile=json.dumps(
            {"layout": table.layout, "num_rows": table.n_rows, "num_columns": table.n_columns}
        ),
    )
    return DatasetInput(source, [InputTag("mlflow.data.context", "fit")])


@contextmanager
def _folder_kept_on_trouble() -> Iterator[Path]:
    """A temporary folder; an hour's fit must not be lost because a disk or MLflow refuses it."""
    folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
    try:
        yield folder
    except Exception as error:
        if was_interrupted(error) or isinstance(error, RunReassigned):  # another makes this fit
            shutil.rmtree(folder)
            raise
        kept = f"the results are kept in {folder}"
        if isinstance(error, TrackingError):
            raise TrackingError(f"{error}; {kept}") from None
        if isinstance(error, OSError):
            raise TrackingError(
                f"the results could not be written: {describe_os_error(error)}; or set TMPDIR to "
                f"a folder on another disk; then fit again; what was written, {kept}"
            ) from None
        error.add_note(kept)
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)

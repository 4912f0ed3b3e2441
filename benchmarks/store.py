"""How long finding fits takes in an MLflow store of many: by name, by key, and to compare.

Fills a store with runs as fits leave them (parameters, metrics, tags; no files), over several
datasets, and asks what ScreenBayes asks. The peer is a bare `MlflowClient.search_runs`, which
returns every run of one dataset. What a fit costs is in the other benchmarks.
"""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cyclopts
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from benchmarks.tables import Several, machine, show
from schemas.comparison import ComparisonSettings
from schemas.dataset import Dataset
from schemas.digests import fit_key, parameters_digest
from schemas.parameters import FitParameters
from tasks.tracking.comparison import finished_comparison
from tasks.tracking.earlier_runs import finished_fit, latest_fits
from tasks.tracking.find import run_id_of
from tasks.tracking.store import NoSuchFit, connect

DATASETS = 5
"""Datasets the runs are spread over."""
N_METRICS = 35
"""As many as a fit has."""
PEER = "search_runs"
CAPTION = (
    "s: wall seconds, median of {times}; slowest s: the slowest of them; ratio: over that of the "
    "bare search_runs for all fits of one dataset in the same store. {machine}"
)

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def store(
    *,
    sizes: Annotated[tuple[int, ...], Several] = (100, 1000),
    times: int = 5,
    uri: str = "",
    out: Path | None = None,
) -> None:
    """Fill, ask, print the table.

    Parameters
    ----------
    sizes
        Runs in the store. [default: 100 1000]
    times
        Questions of each kind.
    uri
        Store to fill, as postgresql+psycopg://user@host/database or the address of a server: an
        empty one, for the runs stay there. [default: a temporary SQLite file]
    out
        CSV file for the rows.
    """
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    load = os.getloadavg()[0]
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = uri or f"sqlite:///{folder}/mlflow.db"
        client = connect(os.environ["MLFLOW_TRACKING_URI"])
        made = 0
        for size in sorted(sizes):
            for number in range(made, size):
                _make(client, number)
            made = size
            rows += _asked(client, size, times)
    kind = os.environ["MLFLOW_TRACKING_URI"].partition(":")[0]
    caption = CAPTION.format(times=times, machine=machine(load))
    show(pd.DataFrame(rows), f"Finding fits in a store of many ({kind})", caption, out)


def _dataset(number: int) -> Dataset:
    return Dataset(name=f"dataset-{number % DATASETS}", release="x", library="Avana", folder=".")


def _make(client: MlflowClient, number: int) -> None:
    """Make one finished run as a fit leaves it; every number has content of its own."""
    dataset, parameters = _dataset(number), FitParameters()
    experiment = client.get_experiment_by_name(dataset.name)
    experiment_id = (
        experiment.experiment_id if experiment else client.create_experiment(dataset.name)
    )
    digest = f"{number:064x}"
    tags = {
        "dataset": dataset.name,
        "release": f"release-{number // DATASETS}",
        "library": dataset.library,
        "model": parameters.model,
        "engine": "exact",
        "data_digest": digest,
        "parameters_digest": parameters_digest(parameters),
        "fit_key": fit_key(dataset, digest, parameters),
        "verdict": "pass",
        "mlflow.note.content": "Verdict: **pass**. " * 20,
    }
    run_id = client.create_run(experiment_id, run_name=f"{tags['release']} m4 exact").info.run_id
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(f"metric_{index}", float(index), now, 0) for index in range(N_METRICS)],
        params=[Param(name, str(value)) for name, value in parameters.flat().items()],
        tags=[RunTag(name, text) for name, text in tags.items()],
    )
    client.set_terminated(run_id)


def _asked(client: MlflowClient, size: int, times: int) -> list[dict[str, object]]:
    dataset, parameters = _dataset(0), FitParameters()
    experiment = client.get_experiment_by_name(dataset.name)
    assert experiment is not None
    key = fit_key(dataset, f"{0:064x}", parameters)
    questions: dict[str, Callable[[], object]] = {
        PEER: lambda: client.search_runs([experiment.experiment_id], max_results=1000),
        "latest": lambda: run_id_of("latest", dataset.name),
        "release": lambda: run_id_of("release-0", dataset.name),
        "no dataset named": lambda: _refused("latest", ""),
        "no such release": lambda: _refused("release-x", dataset.name),
        "very fit (fit_key)": lambda: finished_fit(dataset, key),
        "latest of each content": lambda: latest_fits(dataset.name, parameters_digest(parameters)),
        "very comparison": lambda: finished_comparison(
            experiment.experiment_id, "0" * 32, "1" * 32, ComparisonSettings()
        ),
    }
    rows: list[dict[str, object]] = []
    for question, ask in questions.items():
        ask()  # the first opens the store
        seconds = [_seconds(ask) for _ in range(times)]
        rows.append(
            {
                "runs": size,
                "question": question,
                "s": statistics.median(seconds),
                "slowest s": max(seconds),
            }
        )
    bare = statistics.median([float(str(row["s"])) for row in rows if row["question"] == PEER])
    return [{**row, "ratio": float(str(row["s"])) / bare} for row in rows]


def _refused(name: str, dataset: str) -> None:
    try:
        run_id_of(name, dataset)
    except NoSuchFit:
        return
    raise SystemExit(f"expected no answer to {name!r}, got one; the store was not empty")


def _seconds(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return time.perf_counter() - start


if __name__ == "__main__":
    app()

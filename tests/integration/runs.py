"""What the tests ask of the MLflow store of a working folder."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from model.prediction.checks import QUANTITIES
from schemas import run_catalog as catalog

METRICS: dict[str, dict[str, catalog.Metric]] = {
    "fit": catalog.FIT_METRICS
    | {f"ppc_(prior_)?({'|'.join(QUANTITIES)})": catalog.Metric("", of="a design may show it")},
    "comparison": catalog.COMPARISON_METRICS,
    "part": {name: catalog.Metric("") for name in catalog.PART_METRICS}
    | {"log_evidence": catalog.Metric("", "exact")},
    "calibration": catalog.CALIBRATION_METRICS,
    catalog.TRIAL: catalog.TRIAL_METRICS,
}
"""Kind of run: its metrics, as the reference has them."""


def runs_in(folder: Path) -> list[Run]:
    """All runs of the store in `folder`, the newest first; none where there is no store.

    Each is held to what the reference says of runs, whatever the test wants of it.
    """
    store = folder / "mlflow.db"
    if not store.exists():
        return []
    client = MlflowClient(f"sqlite:///{store}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = list(client.search_runs(experiments))
    assert [line for run in runs for line in otherwise_than_described(run)] == []
    return runs


def run_is_open(folder: Path) -> bool:
    """Whether the store of a working folder has a run yet, with its parameters.

    Asked without MLflow, which would make the store at the same time as the command under test.
    """
    store = folder / "mlflow.db"
    if not store.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as reading:
            return bool(reading.execute("SELECT 1 FROM params").fetchone())
    except sqlite3.OperationalError:  # its tables are being made
        return False


def otherwise_than_described(run: Run) -> list[str]:
    """What the reference says nothing of, and what it says a finished run has and this has not."""
    kind = run.data.tags.get("kind", "fit")
    # `coverage_<level>_<variable>` stands for a name of each level and variable.
    metrics = {re.compile(re.sub("<.*?>", ".+", name)): of for name, of in METRICS[kind].items()}
    there = run.data.metrics.keys()
    tags = {name for name in run.data.tags if not name.startswith("mlflow.")}
    wrong = [f"metric {it}" for it in there if not any(name.fullmatch(it) for name in metrics)]
    of_kind = {name for name, tag in catalog.TAGS.items() if kind in tag.kinds}
    wrong += [f"tag {it}" for it in tags - of_kind]
    if run.info.status == "FINISHED":
        wrong += [
            f"no metric {name.pattern}"
            for name, metric in metrics.items()
            if not metric.of and not any(map(name.fullmatch, there))
        ]
    return [f"{kind} {run.info.run_id}: {line}" for line in sorted(wrong)]


def artifact(run: Run, name: str) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://")) / name

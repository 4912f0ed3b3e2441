"""The checks of a soak: what must hold when all is done, in Prefect, in MLflow and on the disk."""

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from mlflow import MlflowClient
from mlflow.entities import Run
from scipy.stats import theilslopes

from tests.integration.stack import Stack
from tests.soak import watch
from tests.soak.releases import Releases

# Empty folders that Prefect's worker keeps while a run goes, and leaves when it is killed.
OF_PREFECT = re.compile(r"runner_storage|prefect-workspace-attempt-\w+|tmp\w+prefect")
MOST_SLOWING = 2.0
"""Seconds in 100 refreshes, by the lower end of the 95 % interval of the slope."""


def broken(stack: Stack, releases: Releases, kills: int, temporary: Path) -> Iterator[str]:
    """Everything that is not as it must be, one line each."""
    client, flow_runs = stack.runs, watch.flow_runs(stack)
    runs = [
        run
        for experiment in client.search_experiments()
        for run in client.search_runs(
            [experiment.experiment_id], max_results=5000, order_by=["attributes.start_time ASC"]
        )
    ]
    fits = [run for run in runs if "fit_key" in run.data.tags and run.info.status == "FINISHED"]
    yield from each_release_is_fitted_once(fits, releases)
    yield from each_run_has_ended(runs)
    yield from each_fit_is_complete(client, fits)
    yield from each_fit_is_compared_once(runs, fits)
    yield from gate_decides_once(flow_runs, fits)
    yield from versions_and_aliases_are_right(client, fits)
    yield from nothing_waits(flow_runs, stack)
    yield from nothing_is_left([stack.folder / "work", temporary], kills)


def each_release_is_fitted_once(fits: list[Run], releases: Releases) -> Iterator[str]:
    times = Counter(run.data.tags["fit_key"] for run in fits)
    for key, place in releases.expected().items():
        if key not in times:
            yield f"{place} is not fitted"
    for key, n in times.items():
        if key not in releases.ever:
            yield f"a fit has the key {key}, of no content that was ever valid"
        elif n > 1:
            yield f"{releases.ever[key]} is fitted {n} times"


def each_run_has_ended(runs: list[Run]) -> Iterator[str]:
    """With a reason exactly if it is not finished."""
    for run in runs:
        status, failure = run.info.status, run.data.tags.get("failure")
        ended = status in ("FINISHED", "FAILED", "KILLED")
        if not ended or (status == "FINISHED") == bool(failure):
            yield f"{_named(run)} is {status}, failure: {failure!r}"


def each_fit_is_complete(client: MlflowClient, fits: list[Run]) -> Iterator[str]:
    """With the same files as most others."""
    files = {run.info.run_id: frozenset(_paths(client, run.info.run_id)) for run in fits}
    usual = Counter(files.values()).most_common(1)[0][0] if files else frozenset()
    for run in fits:
        if missing := usual - files[run.info.run_id]:
            yield f"{_named(run)} is without {', '.join(sorted(missing))}"
        try:
            _read(client, run.info.run_id)
        except Exception as error:  # whatever it is, it is reported
            yield f"{_named(run)} cannot be read: {type(error).__name__}: {error}"


def each_fit_is_compared_once(runs: list[Run], fits: list[Run]) -> Iterator[str]:
    """With the fit of its dataset before it."""
    by_dataset: dict[str, list[str]] = defaultdict(list)
    for run in fits:
        by_dataset[run.data.tags["dataset"]].append(run.info.run_id)
    wanted = Counter(pair for ids in by_dataset.values() for pair in pairwise(ids))
    made = Counter(
        (run.data.tags["run_a"], run.data.tags["run_b"])
        for run in runs
        if run.data.tags.get("kind") == "comparison" and run.info.status == "FINISHED"
    )
    for pair in wanted | made:
        if wanted[pair] != made[pair]:
            yield f"{' and '.join(pair)} are compared {made[pair]} times, not {wanted[pair]}"


def gate_decides_once(flow_runs: list[dict[str, Any]], fits: list[Run]) -> Iterator[str]:
    """On a fit at most, and on the newest of each dataset."""
    decided = Counter(
        run["parameters"]["run"]
        for run in flow_runs
        if run["flow"] == "promote-fit" and run["state_type"] == "COMPLETED"
    )
    yield from (f"the gate decided {n} times on {run}" for run, n in decided.items() if n > 1)
    for run in {run.data.tags["dataset"]: run for run in fits}.values():
        if not decided[run.info.run_id] or not run.data.tags.get("gate"):
            yield f"the gate did not decide on {_named(run)}"


def versions_and_aliases_are_right(client: MlflowClient, fits: list[Run]) -> Iterator[str]:
    """Each version is a finished fit, and each fit without the verdict `fail` has one version."""
    tags = {run.info.run_id: run.data.tags for run in fits}
    times: Counter[str] = Counter()
    for model in client.search_registered_models():
        found = client.search_model_versions(f"name = '{model.name}'")
        runs = {int(one.version): str(one.run_id) for one in found}
        times.update(runs.values())
        passed = [at for at, run_id in runs.items() if tags.get(run_id, {}).get("gate") == "passed"]
        wanted = {"challenger": max(runs, default=0), "champion": max(passed, default=0)}
        aliases = {name: int(at) for name, at in model.aliases.items()}
        if aliases != {name: at for name, at in wanted.items() if at}:
            yield f"{model.name} has the aliases {aliases}, not {wanted}"
    for run_id in times.keys() | tags.keys():
        if times[run_id] != (run_id in tags and tags[run_id]["verdict"] != "fail"):
            yield f"run {run_id} has {times[run_id]} versions"


def nothing_waits(flow_runs: list[dict[str, Any]], stack: Stack) -> Iterator[str]:
    """No flow run is under way or needs a person, and nobody holds a turn."""
    for run in flow_runs:
        failed = run["state_type"] in ("CRASHED", "FAILED") and run["state_name"] != "Refused"
        if run["state_type"] in watch.GOING or (failed and run["flow"] != "refresh-releases"):
            yield f"{run['name']} ({run['id']}) is {run['state_name']}, run {run['run_count']}"
    for row in watch.query(stack, "prefect", watch.TAKEN_TURNS):
        yield f"turn {row['name']}: {row['active_slots']} taken"
    for file in stack.folder.glob("*prefect*/concurrency_leases/*.json"):
        if '"expiration"' in file.read_text():
            yield f"the lease {file.stem} is open"


def nothing_is_left(folders: list[Path], kills: int) -> Iterator[str]:
    """But one folder of each process that was killed."""
    names = sorted(path.name for folder in folders for path in folder.iterdir())
    ours = [name for name in names if not OF_PREFECT.fullmatch(name)]
    yield from (f"{name} is left" for name in ours if not name.startswith("screenbayes-"))
    if len(ours) > kills:
        yield f"{kills} processes were killed, and left {', '.join(ours)}"


def slowing(seconds: list[float]) -> str:
    """By how much refreshes slow down over the second half; the slope is robust to outliers."""
    later = seconds[len(seconds) // 2 :]
    if len(later) < 20:
        return ""  # too few for a slope
    slope = theilslopes(later, alpha=0.95)
    slower = 100 * slope.low_slope > MOST_SLOWING
    return f"refreshes slow down by {100 * slope.slope:.1f} s in 100" if slower else ""


def _named(run: Run) -> str:
    return f"{run.data.tags.get('dataset')} {run.info.run_name} ({run.info.run_id})"


def _paths(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for file in client.list_artifacts(run_id, folder):
        yield from _paths(client, run_id, file.path) if file.is_dir else [file.path]


def _read(client: MlflowClient, run_id: str) -> None:
    names = ("gene_effects.parquet", "gene_effects.csv", "posterior.nc")
    with tempfile.TemporaryDirectory() as folder:
        parquet, csv, draws = (client.download_artifacts(run_id, name, folder) for name in names)
        effects = pd.read_parquet(parquet).replace("", None)  # a CSV has no empty texts
        pd.testing.assert_frame_equal(effects, pd.read_csv(csv), check_dtype=False)
        with closing(xr.open_datatree(draws, engine="h5netcdf")) as tree:
            assert bool(tree["posterior"].to_dataset().notnull().all().to_array().all())

"""What must hold when a soak has come to rest: each check names what breaks it. Pure.

What is there is `tests.soak.evidence`, the course of memory and seconds `tests.soak.growth`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from mlflow.entities import Run

from tests.soak.evidence import Evidence

Check = Callable[[Evidence], Iterator[str]]
CHECKS: dict[str, Check] = {}

WHOLE = {
    "posterior.nc", "summary.csv", "gene_effects.csv", "gene_effects.parquet", "validation.json",
    "parameters.json", "verdict.json", "screen/design.nc", "report.html", "model_graph.svg",
    "environment.txt",
}  # fmt: skip
OF_PREFECT = re.compile(r"runner_storage|prefect-workspace-attempt-\w+|tmp\w+prefect")
"""Empty folders that its worker keeps while a run goes, and leaves when it is killed."""
UNDER_WAY = ("PENDING", "RUNNING", "CANCELLING", "SCHEDULED", "PAUSED")


def check(says: str) -> Callable[[Check], Check]:
    def register(made: Check) -> Check:
        CHECKS[says] = made
        return made

    return register


def failures(found: Evidence) -> list[str]:
    """Everything that is not as it should be, a line each."""
    return [f"{says}: {broken}" for says, made in CHECKS.items() for broken in made(found)]


def named(run: Run) -> str:
    return f"{run.data.tags.get('dataset')} {run.info.run_name} ({run.info.run_id})"


@check("every release is fitted")
def all_fitted(found: Evidence) -> Iterator[str]:
    fitted = {run.data.tags["fit_key"] for run in found.finished}
    yield from (place.folder for key, place in found.expected.items() if key not in fitted)


@check("no content is fitted twice")
def none_twice(found: Evidence) -> Iterator[str]:
    times = Counter(run.data.tags["fit_key"] for run in found.finished)
    for key, n in times.items():
        if n > 1:
            yield f"{found.ever[key].folder if key in found.ever else key}, {n} times"


@check("nothing is fitted that was never whole")
def none_unknown(found: Evidence) -> Iterator[str]:
    yield from (named(run) for run in found.finished if run.data.tags["fit_key"] not in found.ever)


@check("no MLflow run is left unfinished")
def none_running(found: Evidence) -> Iterator[str]:
    for run in (*found.fits, *found.comparisons, *found.others):
        if run.info.status not in ("FINISHED", "FAILED", "KILLED"):
            yield f"{named(run)} is {run.info.status}"


@check("a run that failed says why, a finished one has not failed")
def failure_is_told(found: Evidence) -> Iterator[str]:
    for run in (*found.fits, *found.comparisons, *found.others):
        if (run.info.status == "FINISHED") == bool(run.data.tags.get("failure")):
            yield f"{named(run)} is {run.info.status}, failure: {run.data.tags.get('failure')!r}"


@check("every finished fit is whole")
def all_whole(found: Evidence) -> Iterator[str]:
    most = Counter(tuple(files) for files in found.files.values()).most_common(1)
    usual = set(most[0][0]) if most else set()
    for run in found.finished:
        files = set(found.files[run.info.run_id])
        if gone := (WHOLE | usual) - files:
            yield f"{named(run)} is without {', '.join(sorted(gone)[:5])}"
        if run.info.run_id in found.unreadable:
            yield f"{named(run)}: {found.unreadable[run.info.run_id]}"


@check("each fit is compared once with the one before")
def compared_once(found: Evidence) -> Iterator[str]:
    by_dataset: dict[str, list[str]] = defaultdict(list)
    for run in found.finished:
        by_dataset[run.data.tags["dataset"]].append(run.info.run_id)
    wanted = Counter(pair for runs in by_dataset.values() for pair in pairwise(runs))
    there = Counter(
        (run.data.tags["run_a"], run.data.tags["run_b"])
        for run in found.comparisons
        if run.info.status == "FINISHED"
    )
    yield from (f"{a} -> {b} is missing" for a, b in wanted - there)
    yield from (f"{a} -> {b} is there without need" for a, b in there - wanted)


@check("the gate decides once on a fit, and on the newest of each dataset")
def gate_once(found: Evidence) -> Iterator[str]:
    decided = Counter(
        run["parameters"]["run"]
        for run in found.flow_runs
        if run["flow"] == "promote-fit" and run["state_type"] == "COMPLETED"
    )
    yield from (f"{run_id}, {n} times" for run_id, n in decided.items() if n > 1)
    newest = {run.data.tags["dataset"]: run for run in found.finished}
    for run in newest.values():
        if decided[run.info.run_id] != 1 or not run.data.tags.get("gate"):
            yield f"not on {named(run)}"


@check("each version of a registered model is a finished fit, each sound fit one version")
def versions_are_fits(found: Evidence) -> Iterator[str]:
    finished = {run.info.run_id: run for run in found.finished}
    for model, versions in found.versions.items():
        for version, run_id in versions:
            if run_id not in finished:
                yield f"{model} {version} is of run {run_id}, which is no finished fit"
    times = Counter(run_id for versions in found.versions.values() for _, run_id in versions)
    for run_id, run in finished.items():
        if times[run_id] != (run.data.tags["verdict"] != "fail"):
            yield f"{named(run)} has {times[run_id]} versions"


@check("the aliases stand for the newest version, and the newest that passed the gate")
def aliases_stand(found: Evidence) -> Iterator[str]:
    gate = {run.info.run_id: run.data.tags.get("gate") for run in found.finished}
    for model, versions in found.versions.items():
        if not versions:
            continue
        passed = [version for version, run_id in versions if gate.get(run_id) == "passed"]
        wanted = {"challenger": versions[-1][0]} | ({"champion": passed[-1]} if passed else {})
        if found.aliases[model] != wanted:
            yield f"{model}: expected {wanted}, there are {found.aliases[model]}"


@check("no flow run is under way, or waits")
def none_stuck(found: Evidence) -> Iterator[str]:
    for run in found.flow_runs:
        if run["state_type"] in UNDER_WAY:
            yield f"{run['name']} ({run['id']}) is {run['state_name']}"


@check("none needs a person")
def none_given_up(found: Evidence) -> Iterator[str]:
    for run in found.flow_runs:
        ended_badly = run["state_type"] in ("CRASHED", "FAILED") and run["state_name"] != "Refused"
        if run["flow"] != "refresh-releases" and ended_badly:
            yield f"{run['name']} ({run['id']}), {run['state_name']}, attempts: {run['run_count']}"


@check("every turn is free")
def turns_are_free(found: Evidence) -> Iterator[str]:
    yield from (f"{name}: {taken} taken" for name, taken in found.taken_turns.items() if taken)
    yield from found.open_leases


@check("nobody leaves files behind but who was killed, and he one folder")
def nothing_left(found: Evidence) -> Iterator[str]:
    ours = [name for name in found.leftovers if not OF_PREFECT.fullmatch(name)]
    kept = [name for name in ours if name.startswith("screenbayes-")]
    yield from sorted(set(ours) - set(kept))
    if len(kept) > found.kills:
        yield f"{len(kept)} folders of {found.kills} that were killed: {', '.join(sorted(kept))}"

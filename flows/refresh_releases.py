"""The flow that sees to it that every release under a prefix is fitted once, and what follows.

What follows a fit is its comparison with the one before, and the gate.

It may run as often as one likes and die at any point: each time it looks what there is, and starts
what is missing under a key that Prefect's database takes once. Nothing is kept between two looks.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated

from prefect import flow
from pydantic import Field

from schemas.errors import UserError
from schemas.identity import fit_key, parameters_digest
from schemas.parameters import FitParameters, form_title
from schemas.refresh import SeenRelease
from tasks.flow_runs import (
    close_lost,
    how_far,
    publish,
    refused,
    runs_by_key,
    start_once,
    take_up,
)
from tasks.progress import tell
from tasks.release_steps import content_digests_task, latest_fits_task, look_under_task
from tasks.releases import Release, Unready, at_rest_in, digest_of
from tasks.render_refresh import refresh_markdown

REFRESH, FIT, COMPARE, PROMOTE = "refresh-releases", "fit-screen", "compare-runs", "promote-fit"
RELEASE = "release"
"""Tag of the fits started here; the deployment's trigger, in prefect.yaml, goes by it."""


@flow(name="refresh-releases", flow_run_name="refresh {prefix}")
def refresh_releases(
    prefix: Annotated[str, Field(min_length=1, **form_title("Prefix"))],
    parameters: Annotated[FitParameters, Field(**form_title("Fits"))] = FitParameters(),
    settle_seconds: Annotated[int, Field(ge=0, **form_title("Seconds to settle"))] = 300,
    longest_wait_seconds: Annotated[int, Field(ge=0, **form_title("Longest wait, seconds"))] = 1800,
    promote: Annotated[bool, Field(**form_title("Promote"))] = True,
) -> tuple[SeenRelease, ...]:
    """Fit each release under a prefix that has not been fitted, compare it, put it to the gate.

    Args:
        prefix: Local folder or s3:// address; files named dataset.yaml or *.dataset.yaml under it,
            up to three levels deep, are releases.
        parameters: Model, filters, priors, sampling and thresholds of the fits.
        settle_seconds: A release is fitted once none of its files has changed for so long.
        longest_wait_seconds: How long to wait here for a release that is still changing; the next
            look takes up what is left.
        promote: Put the newest fit of each dataset to the gate, once: it becomes the champion if
            the gate allows it.

    Raises:
        UserError: There is no such prefix.
        EnvironmentTrouble: The storage cannot be reached, or fit-screen is not deployed.
    """
    try:
        settle = timedelta(seconds=settle_seconds)
        return _refresh(prefix, parameters, settle, longest_wait_seconds, promote)
    except UserError as error:
        return refused(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _refresh(
    prefix: str, parameters: FitParameters, settle: timedelta, longest_wait: float, promote: bool
) -> tuple[SeenRelease, ...]:
    again, given_up = take_up((FIT, COMPARE, PROMOTE))
    for run in again:
        tell(f"Taken up again: {run.name}")
    for run in given_up:
        tell(f"Ended badly {run.run_count} times, and needs a person: {run.name}")
    for run in close_lost(REFRESH):
        tell(f"Lost its worker before it began; this look does its work: {run.name}")

    started: set[str] = set()
    deadline = time.monotonic() + longest_wait
    while True:
        looked = look_under_task(prefix)
        now = datetime.now(UTC)
        seen = tuple(_attend(found, parameters, settle, now) for found in looked)
        started |= {one.flow_run for one in seen if one.status == "started"}
        waits = [
            wait.total_seconds()
            for found in looked
            if isinstance(found, Release) and (wait := at_rest_in(found, settle, now))
        ]
        if not waits or time.monotonic() + min(waits) > deadline:
            break
        tell(f"{len(waits)} release(s) still changing; looking again in {min(waits):.0f} s")
        time.sleep(min(waits) + 0.1)

    seen = started_by_this_look(seen, started)
    fitted = _fitted(looked, parameters)
    compared = [_compare(a, b) for fits in fitted for a, b in pairwise(fits)]
    if promote:
        for fits in fitted:
            _put_to_the_gate(fits[-1])
    publish(refresh_markdown(prefix, seen), key="releases")
    tell(_in_a_line(seen, sum(compared)))
    return seen


def started_by_this_look(
    seen: tuple[SeenRelease, ...], started: set[str]
) -> tuple[SeenRelease, ...]:
    """Call `started` what an earlier pass of this look has started: by the last it is under way."""
    return tuple(
        one.model_copy(update={"status": "started", "detail": ""})
        if one.status == "under way" and one.flow_run in started
        else one
        for one in seen
    )


def _attend(
    found: Release | Unready, parameters: FitParameters, settle: timedelta, now: datetime
) -> SeenRelease:
    """Say how far a release is; start its fit where it is whole, at rest and not yet begun."""
    if isinstance(found, Unready):
        return _incomplete(found, found.dataset_file)
    dataset, file = found.dataset, found.dataset_file
    name = f"{dataset.name} {dataset.release}"
    if wait := at_rest_in(found, settle, now):
        detail = f"at rest in {wait.total_seconds():.0f} s, if nothing more changes"
        return SeenRelease(dataset_file=file, name=name, status="changing", detail=detail)

    digest = digest_of(found, content_digests_task)
    if isinstance(digest, Unready):
        return _incomplete(digest, name)
    key = fit_key(dataset, digest, parameters)
    run = runs_by_key([key]).get(key)
    if run is None:
        run = start_once(
            FIT,
            key,
            {"dataset_file": file, "parameters": parameters.model_dump(mode="json")},
            f"{name} {parameters.model}",
            [RELEASE, dataset.name, dataset.release, parameters.model],
        )
        tell(f"Started: {run.name}")
        return SeenRelease(dataset_file=file, name=name, status="started", flow_run=str(run.id))
    status, detail = how_far(run)
    return SeenRelease.model_validate(
        {
            "dataset_file": file,
            "name": name,
            "status": status,
            "detail": detail,
            "flow_run": str(run.id),
        }
    )


def _incomplete(found: Unready, name: str) -> SeenRelease:
    return SeenRelease(
        dataset_file=found.dataset_file, name=name, status="incomplete", detail=found.why
    )


def _fitted(
    looked: list[Release | Unready], parameters: FitParameters
) -> list[list[tuple[str, str]]]:
    """Return (run id, name) of the fits of each dataset that has some, the oldest first."""
    names = sorted({found.dataset.name for found in looked if isinstance(found, Release)})
    settings = parameters_digest(parameters)
    fits = [
        [
            (run.info.run_id, f"{name} {run.data.tags['release']}")
            for run in latest_fits_task(name, settings)
        ]
        for name in names
    ]
    return [of_dataset for of_dataset in fits if of_dataset]


def _compare(earlier: tuple[str, str], later: tuple[str, str]) -> bool:
    """Start the comparison of two fits unless it was started before; say whether it was not."""
    key = f"{COMPARE} {earlier[0]} {later[0]}"
    if runs_by_key([key]):
        return False
    name = f"{earlier[1]} -> {later[1]}"
    start_once(COMPARE, key, {"run_a": earlier[0], "run_b": later[0]}, name)
    tell(f"Started the comparison {name}")
    return True


def _put_to_the_gate(newest: tuple[str, str]) -> None:
    """Put a fit to the gate unless it was put there before."""
    run_id, name = newest
    key = f"{PROMOTE} {run_id}"
    if not runs_by_key([key]):
        start_once(PROMOTE, key, {"run": run_id}, f"promote {name}")
        tell(f"Put to the gate: {name}")


def _in_a_line(seen: tuple[SeenRelease, ...], n_comparisons: int) -> str:
    counts = sorted(Counter(one.status for one in seen).items())
    told = ", ".join(f"{count} {status}" for status, count in counts) or "no releases"
    return f"{told}; {n_comparisons} comparison(s) started"

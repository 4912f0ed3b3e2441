"""The flow that fits every release under a prefix exactly once, and compares and promotes fits.

It can run at any time and die at any point: each run compares the releases with what Prefect and
MLflow hold, and starts what is missing under a key that Prefect's database accepts once. It keeps
no state of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated

from prefect import flow
from pydantic import Field

from schemas.digests import fit_key, parameters_digest
from schemas.errors import UserError
from schemas.parameters import FitParameters, form_title
from schemas.release_status import SeenRelease
from tasks.reading.releases import (
    IncompleteRelease,
    Release,
    digest_of,
    list_releases,
    time_until_settled,
)
from tasks.reports.releases import refresh_markdown
from tasks.runtime.prefect_runs import (
    close_lost,
    publish,
    refused_state,
    reschedule_failed,
    run_status,
    runs_by_key,
    start_once,
)
from tasks.runtime.progress import log_info
from tasks.steps.releases import content_digests_task
from tasks.tracking.earlier_runs import latest_fits

REFRESH, FIT, COMPARE, PROMOTE = "refresh-releases", "fit-screen", "compare-runs", "promote-fit"
RELEASE = "release"
"""Tag of the fits started here, which the trigger in prefect.yaml matches."""


@flow(name="refresh-releases", flow_run_name="refresh {prefix}")
def refresh_releases(
    prefix: Annotated[str, Field(min_length=1, **form_title("Prefix"))],
    parameters: Annotated[FitParameters, Field(**form_title("Fits"))] = FitParameters(),
    settle_seconds: Annotated[int, Field(ge=0, **form_title("Seconds to settle"))] = 300,
    longest_wait_seconds: Annotated[int, Field(ge=0, **form_title("Longest wait, seconds"))] = 1800,
    promote: Annotated[bool, Field(**form_title("Promote"))] = True,
) -> tuple[SeenRelease, ...]:
    """Fit each new release under a prefix, compare the fits, and evaluate the newest for promotion.

    Args:
        prefix: Local folder or s3:// address; files named dataset.yaml or *.dataset.yaml under it,
            up to three levels deep, are releases.
        parameters: Model, filters, priors, sampling and thresholds of the fits.
        settle_seconds: A release is fitted once none of its files has changed for so long.
        longest_wait_seconds: How long to wait for a release that is still changing; the next
            refresh continues.
        promote: Evaluate the newest fit of each dataset for promotion, once: it becomes the
            champion if it meets the criteria.

    Raises:
        UserError: There is no such prefix.
        ExternalServiceError: The storage cannot be reached, or fit-screen is not deployed.
    """
    try:
        settle = timedelta(seconds=settle_seconds)
        return _refresh(prefix, parameters, settle, longest_wait_seconds, promote)
    except UserError as error:
        return refused_state(error)  # type: ignore[return-value]  # Prefect raises what is in it


def _refresh(
    prefix: str, parameters: FitParameters, settle: timedelta, longest_wait: float, promote: bool
) -> tuple[SeenRelease, ...]:
    again, given_up = reschedule_failed((FIT, COMPARE, PROMOTE))
    for run in again:
        log_info(f"Rescheduled: {run.name}")
    for run in given_up:
        log_info(f"Failed {run.run_count} times, not rescheduled: {run.name}")
    for run in close_lost(REFRESH):
        log_info(f"Lost its worker before it began, replaced by this run: {run.name}")

    started: set[str] = set()
    deadline = time.monotonic() + longest_wait
    while True:
        releases = list_releases(prefix)
        now = datetime.now(UTC)
        seen = tuple(_attend(found, parameters, settle, now) for found in releases)
        started |= {one.flow_run for one in seen if one.status == "started"}
        waits = [
            wait.total_seconds()
            for found in releases
            if isinstance(found, Release) and (wait := time_until_settled(found, settle, now))
        ]
        if not waits or time.monotonic() + min(waits) > deadline:
            break
        log_info(f"{len(waits)} release(s) still changing; checking again in {min(waits):.0f} s")
        time.sleep(min(waits) + 0.1)

    seen = mark_started(seen, started)
    fitted = _fitted(releases, parameters)
    compared = [_compare(a, b) for fits in fitted for a, b in pairwise(fits)]
    if promote:
        for fits in fitted:
            _promote(fits[-1])
    publish(refresh_markdown(prefix, seen), key="releases")
    log_info(_in_a_line(seen, sum(compared)))
    return seen


def mark_started(seen: tuple[SeenRelease, ...], started: set[str]) -> tuple[SeenRelease, ...]:
    """Set the status `started` of fits under way that an earlier pass of this refresh started."""
    return tuple(
        one.model_copy(update={"status": "started", "detail": ""})
        if one.status == "under way" and one.flow_run in started
        else one
        for one in seen
    )


def _attend(
    found: Release | IncompleteRelease, parameters: FitParameters, settle: timedelta, now: datetime
) -> SeenRelease:
    """Return the status of a release; start its fit if it is complete, settled and not started."""
    if isinstance(found, IncompleteRelease):
        return _incomplete(found, found.dataset_file)
    dataset, file = found.dataset, found.dataset_file
    name = f"{dataset.name} {dataset.release}"
    if wait := time_until_settled(found, settle, now):
        detail = f"settled in {wait.total_seconds():.0f} s if nothing else changes"
        return SeenRelease(dataset_file=file, name=name, status="changing", detail=detail)

    digest = digest_of(found, content_digests_task)
    if isinstance(digest, IncompleteRelease):
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
        log_info(f"Started: {run.name}")
        return SeenRelease(dataset_file=file, name=name, status="started", flow_run=str(run.id))
    status, detail = run_status(run)
    return SeenRelease.model_validate(
        {
            "dataset_file": file,
            "name": name,
            "status": status,
            "detail": detail,
            "flow_run": str(run.id),
        }
    )


def _incomplete(found: IncompleteRelease, name: str) -> SeenRelease:
    return SeenRelease(
        dataset_file=found.dataset_file, name=name, status="incomplete", detail=found.why
    )


def _fitted(
    releases: list[Release | IncompleteRelease], parameters: FitParameters
) -> list[list[tuple[str, str]]]:
    """Return (run id, name) of the fits of each dataset that has some, the oldest first."""
    names = sorted({found.dataset.name for found in releases if isinstance(found, Release)})
    settings = parameters_digest(parameters)
    fits = [
        [
            (run.info.run_id, f"{name} {run.data.tags['release']}")
            for run in latest_fits(name, settings)
        ]
        for name in names
    ]
    return [of_dataset for of_dataset in fits if of_dataset]


def _compare(earlier: tuple[str, str], later: tuple[str, str]) -> bool:
    """Start the comparison of two fits, once; return whether it was started now."""
    key = f"{COMPARE} {earlier[0]} {later[0]}"
    if runs_by_key([key]):
        return False
    name = f"{earlier[1]} -> {later[1]}"
    start_once(COMPARE, key, {"run_a": earlier[0], "run_b": later[0]}, name)
    log_info(f"Started the comparison {name}")
    return True


def _promote(newest: tuple[str, str]) -> None:
    """Start the evaluation of a fit for promotion, once."""
    run_id, name = newest
    key = f"{PROMOTE} {run_id}"
    if not runs_by_key([key]):
        start_once(PROMOTE, key, {"run": run_id}, f"promote {name}")
        log_info(f"Started the promotion of {name}")


def _in_a_line(seen: tuple[SeenRelease, ...], n_comparisons: int) -> str:
    counts = sorted(Counter(one.status for one in seen).items())
    parts = ", ".join(f"{count} {status}" for status, count in counts) or "no releases"
    return f"{parts}; {n_comparisons} comparison(s) started"

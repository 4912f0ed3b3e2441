"""Each check of a soak fires where it should: on what is sound, with one thing spoiled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run, RunData, RunInfo, RunTag

from tests.soak.checks import CHECKS, WHOLE, failures
from tests.soak.drive import Made, Plan, Soak
from tests.soak.evidence import Evidence
from tests.soak.growth import growing, slopes
from tests.soak.releases import Place, Prefix, key_of, table
from tests.soak.report import write_report
from tests.soak.watch import Sample

A, B = Place("screen", "24Q2"), Place("screen", "24Q4")


def run_of(run_id: str, status: str = "FINISHED", **tags: str) -> Run:
    info = RunInfo(run_id, "1", "user", status, 0, 1, "active", run_name=run_id)
    return Run(info, RunData(tags=[RunTag(key, value) for key, value in tags.items()]))


def fit(run_id: str, key: str, status: str = "FINISHED", **tags: str) -> Run:
    return run_of(run_id, status, dataset="screen", fit_key=key, verdict="pass", **tags)


def flow_run(flow: str, state: str = "COMPLETED", **more: object) -> dict[str, object]:
    return {
        "id": "an id", "flow": flow, "name": "a run", "state_type": state, "state_name": state,
        "run_count": 1, "parameters": {}, **more,
    }  # fmt: skip


def sound() -> Evidence:
    """Two releases of a dataset, fitted, compared, put to the gate."""
    keys = {"key a": A, "key b": B}
    return Evidence(
        expected=keys,
        ever={**keys, "key gone": A},
        fits=[
            fit("a", "key a", gate="passed"),
            fit("died", "key b", "KILLED", failure="its process died"),
            fit("b", "key b", gate="refused: lost hits"),
        ],
        comparisons=[run_of("a to b", kind="comparison", run_a="a", run_b="b")],
        files={"a": sorted(WHOLE), "b": sorted(WHOLE)},
        versions={"screen": [(1, "a"), (2, "b")]},
        aliases={"screen": {"challenger": 2, "champion": 1}},
        flow_runs=[
            flow_run("fit-screen"),
            flow_run("fit-screen", "FAILED", state_name="Refused"),
            flow_run("refresh-releases", "CRASHED"),
            flow_run("promote-fit", parameters={"run": "a"}),
            flow_run("promote-fit", parameters={"run": "b"}),
        ],
        taken_turns={"screenbayes screen": 0},
        kills=1,
        leftovers=["screenbayes-abc", "prefect-workspace-attempt-4l5ixa8p", "tmpksanhh0bprefect"],
    )


SPOILED: dict[str, list[Callable[[Evidence], object]]] = {
    "every release is fitted": [lambda e: e.expected.update({"key c": Place("screen", "25Q2")})],
    "no content is fitted twice": [lambda e: e.fits.append(fit("again", "key a"))],
    "nothing is fitted that was never whole": [lambda e: e.fits.append(fit("c", "key c"))],
    "no MLflow run is left unfinished": [
        lambda e: e.fits.append(fit("c", "key gone", "RUNNING")),
        lambda e: e.comparisons.append(run_of("c", "RUNNING")),
        lambda e: e.others.append(run_of("c", "SCHEDULED")),
    ],
    "a run that failed says why, a finished one has not failed": [
        lambda e: e.fits[0].data.tags.update(failure="it failed"),
        lambda e: e.fits[1].data.tags.pop("failure"),
    ],
    "every finished fit is whole": [
        lambda e: e.files["a"].remove("posterior.nc"),
        lambda e: e.files["b"].clear(),
        lambda e: e.unreadable.update(b="ValueError: no netCDF file"),
    ],
    "each fit is compared once with the one before": [
        lambda e: e.comparisons.clear(),
        lambda e: e.comparisons.append(run_of("again", run_a="a", run_b="b")),
        lambda e: e.comparisons.append(run_of("other", run_a="b", run_b="a")),
    ],
    "the gate decides once on a fit, and on the newest of each dataset": [
        lambda e: e.flow_runs.append(flow_run("promote-fit", parameters={"run": "a"})),
        lambda e: e.flow_runs.pop(),
        lambda e: e.fits[2].data.tags.pop("gate"),
    ],
    "each version of a registered model is a finished fit, each sound fit one version": [
        lambda e: e.versions["screen"].insert(1, (3, "died")),
        lambda e: e.versions["screen"].insert(1, (3, "a")),
        lambda e: e.versions.clear(),
    ],
    "the aliases stand for the newest version, and the newest that passed the gate": [
        lambda e: e.aliases["screen"].update(challenger=1),
        lambda e: e.aliases["screen"].update(champion=2),
    ],
    "no flow run is under way, or waits": [
        lambda e: e.flow_runs.append(flow_run("refresh-releases", "PENDING")),
        lambda e: e.flow_runs.append(flow_run("fit-screen", "RUNNING")),
    ],
    "none needs a person": [lambda e: e.flow_runs.append(flow_run("fit-screen", "CRASHED"))],
    "every turn is free": [
        lambda e: e.taken_turns.update({"screenbayes screen": 1}),
        lambda e: e.open_leases.append("a lease"),
    ],
    "nobody leaves files behind but who was killed, and he one folder": [
        lambda e: e.leftovers.append("tmp8f3k2j"),
        lambda e: e.leftovers.append("screenbayes-8f3k2j"),
    ],
}


def test_what_is_sound_passes() -> None:
    assert failures(sound()) == []


@pytest.mark.parametrize(
    ("says", "spoil"), [(says, spoil) for says, spoils in SPOILED.items() for spoil in spoils]
)
def test_what_is_spoiled_is_named(says: str, spoil: Callable[[Evidence], object]) -> None:
    found = sound()
    spoil(found)
    assert list(CHECKS[says](found)) != []


def test_every_check_is_seen_to_fire() -> None:
    assert SPOILED.keys() == CHECKS.keys()


def samples(memory: np.ndarray, n: int = 200) -> pd.DataFrame:
    refresh = np.arange(1, n + 1)
    return pd.DataFrame(
        {
            "refresh": refresh,
            "at": datetime.now(UTC),
            "seconds": 4.0,
            "server": "prefect",
            "pid": np.where(refresh < 60, 1, 2),
            "memory_mb": memory,
            "files": 30,
            "threads": 8,
        }
    )


def test_a_leak_is_seen_through_noise_and_outliers_are_not_taken_for_one() -> None:
    random = np.random.default_rng(1)
    flat = 250 + random.normal(0, 5, 200)
    flat[150:155] += 200
    assert growing(slopes(samples(flat), 200)) == []
    leak = flat + 0.2 * np.arange(200)
    assert any("memory_mb grows by" in line for line in growing(slopes(samples(leak), 200)))
    # What it had grown by before the second half is no growth within it.
    warm = np.minimum(np.arange(200), 90) + flat
    assert growing(slopes(samples(warm), 200)) == []


def test_a_content_is_known_by_the_key_its_fit_will_have() -> None:
    put: dict[str, bytes] = {}
    prefix = Prefix(lambda key, content, in_parts=False: put.update({key: content}))
    place = prefix.next_place("screen")
    first, second = prefix.next_content("screen"), prefix.next_content("screen")
    assert first != second and first == table("screen", 1)
    prefix.land(place, first)
    assert list(put) == [f"{place.folder}/screen.csv", f"{place.folder}/dataset.yaml"]
    prefix.put_table(place, second)
    assert prefix.expected() == {key_of("screen", second): place}
    assert prefix.ever.keys() == {key_of("screen", first), key_of("screen", second)}
    prefix.put_spoiled(place, b"no table")
    assert prefix.expected() == {}


def test_the_report_tells_what_was_done_and_seen(tmp_path: Path) -> None:
    refreshes = [{"state_name": "Failed" if n == 150 else "Completed"} for n in range(1, 201)]
    looked = samples(np.full(200, 250.0))
    looked.loc[149, "seconds"] = np.nan
    soak = Soak(
        Plan(200, 25, seed=103),
        made=[Made("a fit killed", 7, "killed 2 s after its start", 30.0)],
        samples=[
            Sample(**{str(name): value for name, value in row.items()})
            for row in looked.to_dict("records")
        ],
        refreshes=refreshes,
        sizes=[{"refresh": n, "prefect": 40.0, "mlflow": 20.0} for n in range(1, 201)],
        evidence=sound(),
        failures=["every release is fitted: releases/a/10Q4"],
        seconds=3600.0,
    )
    told = write_report(soak, tmp_path)
    for part in (
        "scheduled refreshes ended: 200, Completed 199, Failed 1",
        "1 a fit killed: killed 2 s after its start",
        "refresh  seconds",
        "Prefect 40 MB",
        "1 checks broken",
    ):
        assert part in told
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"samples.csv", "faults.csv", "growth.png", "report.txt"}

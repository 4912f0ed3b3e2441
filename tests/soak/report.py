"""A soak as people read it: tables of what was done and seen, samples as CSV, one picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import plotnine as p9

from tests.soak.drive import Soak
from tests.soak.growth import Slope, slopes


def samples_of(soak: Soak) -> pd.DataFrame:
    """One row a server and refresh, with the sizes of the databases."""
    sizes = pd.DataFrame(soak.sizes).rename(
        columns=lambda name: name if name == "refresh" else f"{name}_db_mb"
    )
    return pd.DataFrame([asdict(sample) for sample in soak.samples]).merge(
        sizes, on="refresh", how="left"
    )


def write_report(soak: Soak, folder: Path) -> str:
    """Write samples.csv, faults.csv, growth.png and report.txt into a folder; return the last."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = samples_of(soak)
    samples.to_csv(folder / "samples.csv", index=False)
    pd.DataFrame([asdict(made) for made in soak.made]).to_csv(folder / "faults.csv", index=False)
    _picture(samples, soak.plan.refreshes).save(folder / "growth.png", verbose=False, dpi=120)
    text = "\n".join(_lines(soak, slopes(samples, soak.plan.refreshes), samples)) + "\n"
    (folder / "report.txt").write_text(text)
    return text


def _lines(soak: Soak, found: list[Slope], samples: pd.DataFrame) -> Iterator[str]:
    evidence = soak.evidence
    assert evidence is not None
    by_flow = Counter((run["flow"], run["state_name"]) for run in evidence.flow_runs)
    scheduled = Counter(run["state_name"] for run in soak.refreshes)
    again = [run for run in evidence.flow_runs if run["run_count"] > 1]
    minutes, settled = soak.seconds / 60, soak.settled_after
    yield f"seed {soak.plan.seed}, {minutes:.0f} min, settled after {settled:.0f} s"
    yield f"scheduled refreshes ended: {len(soak.refreshes)}, {_counts(scheduled)}"
    yield "flow runs: " + ", ".join(
        f"{flow} {state} {n}" for (flow, state), n in sorted(by_flow.items())
    )
    yield (
        f"contents there: {len(evidence.expected)}, ever there: {len(evidence.ever)}; fits "
        f"{_counts(Counter(run.info.status for run in evidence.fits))}; comparisons "
        f"{_counts(Counter(run.info.status for run in evidence.comparisons))}"
    )
    yield f"the worker has ended by itself {soak.gave_up} times, and was started again"
    yield (
        f"runs begun again: {len(again)}, attempts at most "
        f"{max((run['run_count'] for run in evidence.flow_runs), default=0)}"
    )
    yield ""
    yield "faults: kind, count, what came of it"
    for kind, n in sorted(Counter(made.kind for made in soak.made).items()):
        came = Counter(made.outcome for made in soak.made if made.kind == kind)
        yield f"  {n:3} {kind}: {'; '.join(came)}"
    yield f"  {len(soak.made):3} in all"
    yield ""
    yield f"growth in 100 refreshes, over the second half ({'95 % interval'})"
    for one in found:
        yield (
            f"  {one.of:8} {one.quantity:9} {one.per_100:+8.2f} ({one.low:+.2f} to {one.high:+.2f})"
            f"   largest {one.largest:.1f}, last {one.last:.1f}, {one.n} samples"
        )
    seconds = samples.drop_duplicates("refresh")["seconds"].dropna()
    yield f"seconds of a refresh: median {seconds.median():.1f}, largest {seconds.max():.1f}"
    last = soak.sizes[-1]
    yield f"databases at the end: Prefect {last['prefect']:.0f} MB, MLflow {last['mlflow']:.0f} MB"
    yield ""
    yield f"{len(soak.failures)} checks broken"
    yield from (f"  {broken}" for broken in soak.failures)


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(found.items()))


def _picture(samples: pd.DataFrame, n_refreshes: int) -> p9.ggplot:
    memory = samples.assign(panel="Memory, MB", value=samples["memory_mb"], of=samples["server"])
    seconds = samples.drop_duplicates("refresh").assign(panel="Seconds of a refresh", of="refresh")
    seconds["value"] = seconds["seconds"]
    rows = pd.concat([memory, seconds.dropna(subset=["value"])])
    return (
        p9.ggplot(rows, p9.aes("refresh", "value", colour="of"))
        + p9.geom_vline(xintercept=n_refreshes / 2, linetype="dashed", colour="#999999")
        + p9.geom_point(size=0.8)
        + p9.facet_wrap("panel", ncol=1, scales="free_y")
        + p9.expand_limits(y=0)
        + p9.labs(x="Scheduled refreshes ended", y="", colour="")
        + p9.theme_minimal()
        + p9.theme(figure_size=(9, 6))
    )

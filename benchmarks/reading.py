"""How fast logFC tables are read: all of ScreenBayes' validation beside a bare read by pandas.

Simulates tables of a share of a whole release and reads each in fresh processes, the ways in turn,
so that all meet the same load of the machine; the best of several reads counts. Imports are done
before the clock starts. How fast screens are fitted is in the other benchmarks.

`pandas.read_csv` reads the logFC table alone. `validate` reads it and the small tables, takes
their digests, holds them against every rule and reduces the measurements to the sufficient
statistics: all a fit needs of the tables.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
import numpy as np
import pandas as pd

from benchmarks.tables import Several, machine, peak_memory, show
from model.simulation.release import simulate_release
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.simulation import Simulation
from tasks.reading.dataset_file import load_dataset
from tasks.reading.validate import validate
from tasks.write_simulation import DATASET_FILE, write_release

RELEASE = Simulation(genes=17_800, cell_lines=1_100, guides=4, replicates=2, missing=0.002)
"""A whole release: 71,200 guides x 2,200 sequences."""
BARE, ARROW, VALIDATE = "pandas.read_csv", "pandas.read_csv, pyarrow", "validate"
MB = 1e6
CAPTION = (
    "wall, CPU: seconds, the best of {times} reads each; ratio: over those of pandas.read_csv on "
    "the same table. peak MB: largest memory of the process. Rows in brackets are no measurement: "
    "the line through the two largest tables, at the size of a whole release. {machine}"
)

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def reading(
    *,
    shares: Annotated[tuple[float, ...], Several] = (0.0625, 0.125),
    times: int = 5,
    folder: Path | None = None,
    out: Path | None = None,
) -> None:
    """Simulate, read every way, print the table.

    Parameters
    ----------
    shares
        Shares of a release's genes, two or more; 1 is 3 GB. [default: 0.0625 0.125]
    times
        Reads of each kind.
    folder
        Where to put the tables; what is there already is read again. [default: a temporary one]
    out
        CSV file for the rows.
    """
    load = os.getloadavg()[0]
    runs: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for share in sorted(shares):
            screen = (folder or Path(temporary)) / f"share-{share:g}"
            dataset = screen / DATASET_FILE
            if not dataset.exists():
                genes = max(1, round(share * RELEASE.genes))
                write_release(simulate_release(RELEASE.model_copy(update={"genes": genes})), screen)
            runs += _best(share, dataset, times)
    rows = pd.DataFrame(runs)
    rows = _with_ratios(pd.concat([rows, _whole_release(rows)], ignore_index=True))
    show(
        rows,
        "Reading a logFC table of 2,200 sequences",
        CAPTION.format(times=times, machine=machine(load)),
        out,
    )


@app.command(show=False)
def once(way: str, dataset: Path) -> None:
    """Read one table once and print what that took; run by `reading` in a fresh process."""
    read = WAYS[way](load_dataset(str(dataset)))
    wall, cpu = time.perf_counter(), time.process_time()
    read()
    took = {"wall": time.perf_counter() - wall, "CPU": time.process_time() - cpu}
    sys.stdout.write(json.dumps(took | {"peak MB": peak_memory() / MB}))


def _bare(dataset: Dataset, **options: str) -> Callable[[], object]:
    return lambda: pd.read_csv(str(dataset.logfc), index_col=0, **options)  # type: ignore[call-overload]


def _validation(dataset: Dataset) -> Callable[[], object]:
    with tempfile.TemporaryDirectory() as small:  # pandera imports more with its first table
        tiny = write_release(simulate_release(Simulation(genes=5, cell_lines=5)), Path(small))
        validate(load_dataset(str(tiny)), FitParameters())

    def read() -> None:
        if not validate(dataset, FitParameters()).report.passed:
            raise SystemExit("expected a sound table; delete the folder and run again")

    return read


WAYS: dict[str, Callable[[Dataset], Callable[[], object]]] = {
    BARE: _bare,
    ARROW: lambda dataset: _bare(dataset, engine="pyarrow"),
    VALIDATE: _validation,
}


def _best(share: float, dataset: Path, times: int) -> list[dict[str, object]]:
    """Return a row a way, each measure the best of all reads."""
    took: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(times):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.reading", "once", way, str(dataset)]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            took[way].append(json.loads(run.stdout))
    size = Path(str(load_dataset(str(dataset)).logfc)).stat().st_size / MB
    return [
        {
            "release": f"{share:g}",
            "share": share,
            "way": way,
            "table MB": size,
            **{measure: min(run[measure] for run in of_way) for measure in of_way[0]},
        }
        for way, of_way in took.items()
    ]


def _whole_release(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a whole release on the line through the two largest tables."""
    measures = ["table MB", "wall", "CPU", "peak MB"]
    whole = []
    for way, of_way in rows.groupby("way", sort=False):
        if len(of_way) > 1 and of_way["share"].max() < 1:
            largest = of_way.nlargest(2, "share")
            lines = np.polyfit(largest["share"], largest[measures], 1)
            whole.append(
                {
                    "release": "(1)",
                    "way": way,
                    **dict(zip(measures, lines.sum(axis=0), strict=True)),
                }
            )
    return pd.DataFrame(whole)


def _with_ratios(rows: pd.DataFrame) -> pd.DataFrame:
    bare = rows[rows["way"] == BARE].set_index("release")
    columns: Sequence[str] = ["release", "way", "table MB"]
    for measure in ("wall", "CPU"):
        rows[f"{measure} ratio"] = rows[measure] / rows["release"].map(bare[measure])
        columns = [*columns, measure, f"{measure} ratio"]
    return rows[[*columns, "peak MB"]]


if __name__ == "__main__":
    app()

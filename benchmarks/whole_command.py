"""What a user waits for: whole commands, stage by stage, beside what no command can do without.

Each command runs in a fresh process: cold, in a folder without the stores of Prefect and MLflow and
the caches of Numba, then warm. The bare flow is one Prefect flow of one task, with the server that
Prefect starts for it; the bare import loads the libraries that every fit needs. Commands and floors
take turns.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
import pandas as pd

from benchmarks.commands import FINISHED, STAGES, run_python
from benchmarks.tables import Several, machine, show
from deployments.server.environment import prepare_environment

FLOW = """
from prefect import flow, task
@task
def one(): return 1
@flow
def bare(): return one()
bare()
"""
IMPORT = "import prefect.main, mlflow, pandas, xarray, scipy.stats, arviz_stats, pandera.pandas"
FLOORS = {"bare flow": ["-c", FLOW], "bare import": ["-c", IMPORT]}
CAPTION = (
    "seconds from the start of the process, median of {times} runs after the cold one: until the "
    "first line, the flow, the engine, the result, the finished run, the end; CPU: of the process "
    "and its children; peak GB: largest resident memory of these together. {machine}"
)

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def whole_command(
    *,
    dataset: Path | None = None,
    times: int = 3,
    commands: Annotated[tuple[str, ...], Several] = ("demo",),
    out: Path | None = None,
) -> None:
    """Run the commands and the floors in turn, and print the table.

    Parameters
    ----------
    dataset
        Dataset file for the command fit, which is run too if this is given.
    times
        Warm runs of each.
    commands
        Commands to run, with blanks between a command and its options. [default: demo]
    out
        CSV file for the rows.
    """
    load = os.getloadavg()[0]
    prepare_environment()
    words = {command: command.split() for command in commands}
    if dataset is not None:
        words[f"fit {dataset.name}"] = ["fit", str(dataset.resolve())]
    ours = {what: ["-m", "deployments.cli.app", *these] for what, these in words.items()}
    found: list[dict[str, object]] = []
    for what, arguments in (ours | FLOORS).items():
        with tempfile.TemporaryDirectory() as folder:
            found.append({"what": what, "run": "cold", **_run(arguments, Path(folder))})
    with tempfile.TemporaryDirectory() as folder:
        warm: dict[str, list[dict[str, float]]] = {what: [] for what in ours | FLOORS}
        for at in range(times + 1):
            for what, arguments in (ours | FLOORS).items():
                took = _run(arguments, Path(folder))
                if at:  # the first fills the caches
                    warm[what].append(took)
    found += [{"what": what, "run": "warm", **_median(runs)} for what, runs in warm.items()]
    rows = pd.DataFrame(found)[["what", "run", *STAGES, FINISHED, "CPU", "peak GB"]]
    show(rows, "Whole commands", CAPTION.format(times=times, machine=machine(load)), out)


def _run(arguments: list[str], folder: Path) -> dict[str, float]:
    course = run_python(arguments, folder)
    peak = max(course.peak_bytes.values()) / 1e9
    return {**course.seconds, "CPU": course.cpu_seconds, "peak GB": peak}


def _median(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


if __name__ == "__main__":
    app()

"""What a user waits for: whole commands, stage by stage, beside what no command can do without.

Each command runs in a fresh process: cold, in a folder without the stores of Prefect and MLflow and
the caches of Numba, then warm. The bare flow is one Prefect flow of one task, with the server that
Prefect starts for it; the bare import loads the libraries that every fit needs. Commands and floors
take turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
import pandas as pd

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
STAGES = {
    "started": "Starting Prefect",
    "flow": "Validating",
    "fit": "Fitting",
    "answer": "hyperparameters",
    "tracked": "Tracked as run",
}
"""Columns, and the words whose first line ends the stage."""
CAPTION = (
    "seconds from the start of the process, median of {times} runs after the cold one: until the "
    "first line, the flow, the engine, the result, the finished run, the end; CPU: of the process "
    "and its children. {machine}"
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
    rows = pd.DataFrame(found)[["what", "run", *STAGES, "finished", "CPU"]]
    show(rows, "Whole commands", CAPTION.format(times=times, machine=machine(load)), out)


def _run(arguments: list[str], folder: Path) -> dict[str, float]:
    """Run Python with these arguments in a folder, which holds all caches too."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "PYTHONUNBUFFERED": "1",
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "PREFECT_HOME": str(folder / "prefect"),
    }
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        environment.pop(name, None)
    started = time.perf_counter()
    took: dict[str, float] = {}
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            for stage, words in STAGES.items():
                if words in line:
                    took.setdefault(stage, time.perf_counter() - started)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: a verdict
        raise SystemExit(f"{arguments} ended with {process.returncode}:\n{''.join(lines)}")
    took["finished"] = time.perf_counter() - started
    took["CPU"] = usage.ru_utime + usage.ru_stime
    return took


def _median(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


if __name__ == "__main__":
    app()

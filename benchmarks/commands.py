"""One command of ScreenBayes in a fresh process: how long its stages take, and how much memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

STAGES = {
    "started": "Starting Prefect",
    "flow": "Validating",
    "fit": "Fitting",
    "answer": "hyperparameters",
    "tracked": "Tracked as run",
}
"""Columns, and the words whose first line ends the stage."""
FINISHED = "finished"
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass
class Course:
    """What a command took, by the stages it reached and FINISHED."""

    seconds: dict[str, float] = field(default_factory=dict)
    """From the start of the process to the end of the stage."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """Largest resident memory in the stage, of the process and its children together."""
    cpu_seconds: float = 0.0
    """Of the process and its children."""


def run_python(arguments: list[str], folder: Path) -> Course:
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
    started, course, lines, peak = time.perf_counter(), Course(), [], [0]
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        ended = threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, peak, ended))
        watch.start()
        for line in process.stdout:
            lines.append(line)
            for stage, words in STAGES.items():
                if words in line and stage not in course.seconds:
                    course.seconds[stage] = time.perf_counter() - started
                    course.peak_bytes[stage], peak[0] = peak[0], 0
        ended.set()
        watch.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: a verdict
        raise SystemExit(f"{arguments} ended with {process.returncode}:\n{''.join(lines)}")
    course.seconds[FINISHED] = time.perf_counter() - started
    course.peak_bytes[FINISHED] = peak[0]
    course.cpu_seconds = usage.ru_utime + usage.ru_stime
    return course


def _watch(pid: int, peak: list[int], ended: threading.Event) -> None:
    """Raise the only entry of `peak` to the memory of a process and its children until the end."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            total = 0
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += one.memory_info().rss
            peak[0] = max(peak[0], total)

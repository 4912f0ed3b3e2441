"""The peers: who they are, which models they fit, and the command that starts each.

One line a peer in PEERS. A peer is a process of its own that is told a folder: it finds the screen
there (`benchmarks.screens.hand_over`) and `job.json`, and leaves `result.json` and, where it has
any, `draws.npz`. Starting it and judging its draws is `benchmarks.peers.run`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from schemas.parameters import EngineName, ModelName, SamplerName

PeerName = Literal["pymc3", "pymc", "numpyro", "nutpie", "lme4", "exact"]

HERE = Path(__file__).resolve().parent
PYMC3_VARIABLE = "SCREENBAYES_PYMC3_PYTHON"
PYMC3_CACHE = Path.home() / ".cache" / "screenbayes" / "pymc3" / "bin" / "python"


@dataclass(frozen=True)
class Job:
    """One fit a peer is asked for."""

    folder: Path
    """Where screen and job are, and where the result goes."""
    model: ModelName
    draws: int = 2000
    """Draws kept a chain."""
    tune: int = 2000
    """Tuning steps a chain."""
    chains: int = 4
    seed: int = 103
    exact_draws: int = 4000
    """Draws a chain of the exact engine."""
    repeats: int = 5
    """Timed fits of the exact engine, after one to warm up; everyone else fits once."""
    pymc3_python: Path | None = None
    """The Python that has pymc3; None: the environment variable, else the cache folder."""


class Missing(Exception):
    """A peer that is not on this machine; says what is missing and how to get it."""


@dataclass(frozen=True)
class Peer:
    """Somebody who can fit a model of ours."""

    command: Callable[[Job], list[str]]
    """The command of a job; raises Missing."""
    models: tuple[ModelName, ...] = get_args(ModelName)
    """Models it is made to fit."""


def _ours(engine: EngineName, sampler: SamplerName, job: Job) -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.ours", engine, sampler, str(job.folder)]


def _pymc3(job: Job) -> list[str]:
    python = job.pymc3_python or Path(os.environ.get(PYMC3_VARIABLE, PYMC3_CACHE))
    if not python.is_file():
        raise Missing(
            f"no Python with pymc3 at {python}; make one with Python 3.8: "
            f"python3.8 -m venv {PYMC3_CACHE.parents[1]} && {PYMC3_CACHE} -m pip install "
            "-r benchmarks/pymc3-requirements.txt, "
            f"or name another with --pymc3-python or {PYMC3_VARIABLE}"
        )
    return [str(python), str(HERE / "pymc3_by_row.py"), str(job.folder)]


def _lme4(job: Job) -> list[str]:
    rscript = shutil.which("Rscript")
    if rscript is None:
        raise Missing("no Rscript; Debian has R as r-base-core and lme4 as r-cran-lme4")
    return [rscript, "--vanilla", str(HERE / "lme4.R"), str(job.folder), job.model]


PEERS: dict[PeerName, Peer] = {
    "pymc3": Peer(_pymc3, models=("m4", "m4_zero_mean")),
    "pymc": Peer(partial(_ours, "nuts", "pymc")),
    "numpyro": Peer(partial(_ours, "nuts", "numpyro")),
    "nutpie": Peer(partial(_ours, "nuts", "nutpie")),
    "lme4": Peer(_lme4),
    "exact": Peer(partial(_ours, "exact", "nutpie")),
}

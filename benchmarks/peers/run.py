"""Start one peer on one job in a fresh process, and measure what it hands back.

One yardstick for all: the same ArviZ over every parameter's draws. Who the peers are and how they
are started is `benchmarks.peers`; tables are the scripts' affair.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr

from benchmarks.peers import PEERS, Job, Missing, PeerName

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Fit:
    """What one peer took and what it gave."""

    peer: str
    version: str
    seconds_fit: tuple[float, ...]
    """Seconds of the fit alone; several where it was repeated."""
    seconds_whole: float
    """Seconds of the first fit, with building and compiling the model."""
    draws: int | None = None
    """Draws kept, all chains; None for a point estimate."""
    ess_min: float | None = None
    """Smallest bulk ESS over all parameters."""
    rhat_max: float | None = None
    """Largest R-hat over all parameters."""

    @property
    def seconds(self) -> float:
        """Median of `seconds_fit`."""
        return median(self.seconds_fit)

    @property
    def ess_per_second(self) -> float | None:
        """Smallest bulk ESS a second of the fit alone."""
        return None if self.ess_min is None else self.ess_min / self.seconds


@dataclass(frozen=True)
class NotRun:
    """A peer without a result, and why."""

    peer: str
    reason: str


def told(result: Fit | NotRun) -> str:
    """Say in a line how a peer fared."""
    if isinstance(result, NotRun):
        return f"{result.peer}: {result.reason}"
    return f"{result.peer} {result.version}: {result.seconds:.2f} s"


def run(name: PeerName, job: Job, timeout: float | None = None) -> Fit | NotRun:
    """Let a peer do a job; stop it after `timeout` seconds.

    Its caches of compiled code are new and empty, so that nobody gains from an earlier run.
    """
    peer = PEERS[name]
    if job.model not in peer.models:
        return NotRun(name, f"skipped, fits {' and '.join(peer.models)} only")
    try:
        command = peer.command(job)
    except Missing as missing:
        return NotRun(name, f"skipped, {missing}")
    for left in ("result.json", "draws.npz"):
        (job.folder / left).unlink(missing_ok=True)
    (job.folder / "job.json").write_text(json.dumps(asdict(job), default=str))
    with TemporaryDirectory() as caches:
        code, said = _start(command, caches, timeout)
    if code is None:
        return NotRun(name, f"stopped after {timeout:,.0f} s")
    if code != 0 or not (job.folder / "result.json").is_file():
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        return NotRun(name, f"failed with exit code {code}: {last[0]}")
    return _measured(name, job.folder)


def _start(command: list[str], caches: str, timeout: float | None) -> tuple[int | None, str]:
    """Return exit code (None where stopped) and what was written to stderr."""
    environment = os.environ | {
        "THEANO_FLAGS": f"base_compiledir={caches}/theano",
        "PYTENSOR_FLAGS": f"base_compiledir={caches}/pytensor",
        "NUMBA_CACHE_DIR": f"{caches}/numba",
    }
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its own processes end with it
    )
    try:
        _, said = process.communicate(timeout=timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return None, ""
        raise
    return process.returncode, said


def _measured(name: str, folder: Path) -> Fit:
    result = json.loads((folder / "result.json").read_text())
    draws, ess_min, rhat_max = None, None, None
    if (folder / "draws.npz").is_file():
        with np.load(folder / "draws.npz") as file:
            arrays = dict(file)
        draws = next(iter(arrays.values())).shape[:2]
        ess_min, rhat_max = yardstick(arrays)
        # The draws of the exact engine are picked, with repeats, from weighted points; there are
        # no more independent ones among them than the weights are worth.
        ess_min = min(ess_min, result.get("independent_draws", np.inf))
    return Fit(
        peer=name,
        version=result["version"],
        seconds_fit=tuple(result["seconds_fit"]),
        seconds_whole=result["seconds_whole"],
        draws=None if draws is None else draws[0] * draws[1],
        ess_min=ess_min,
        rhat_max=rhat_max,
    )


def yardstick(draws: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Return smallest bulk ESS and largest R-hat over all parameters; NaN if any is undefined.

    A parameter that has one value in all draws, such as a slope of 0, does not count.

    Args:
        draws: Each variable's draws (chain, draw, ...).
    """
    import arviz as az

    posterior = xr.Dataset(
        {
            name: (("chain", "draw", *(f"{name}_{axis}" for axis in range(array.ndim - 2))), array)
            for name, array in draws.items()
        }
    )
    ess, rhat = az.ess(posterior, method="bulk"), az.rhat(posterior)
    varies = posterior.max(("chain", "draw")) != posterior.min(("chain", "draw"))
    return (
        float(np.min([ess[name].where(varies[name], np.inf).min(skipna=False) for name in ess])),
        float(np.max([rhat[name].where(varies[name], 0).max(skipna=False) for name in rhat])),
    )

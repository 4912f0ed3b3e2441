"""One size of the growth benchmark in a process of its own, so that its peak memory is its own.

`python -m benchmarks.one_size JOB`, the job as JSON; prints what it measured as JSON. The sizes,
the table and the fitted exponents are `benchmarks.growth`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from time import perf_counter

import numpy as np

from benchmarks.peers.run import yardstick
from benchmarks.screens import TRUTHS, made, sparse_slopes
from benchmarks.tables import peak_memory
from model.engines.run import run_engine
from schemas.parameters import FitParameters, ModelName, Sampling

"""Bytes to the unit of `ru_maxrss`."""


SHARE = 0.05
"""Of the genes of a screen of m4_screen that have an effect."""


@dataclass(frozen=True)
class Size:
    """A screen to make and to fit."""

    model: ModelName
    genes: int
    cell_lines: int
    guides_per_gene: int
    draws: int
    """Draws, four chains of a quarter each."""
    seed: int


@dataclass(frozen=True)
class Growth:
    """What one size took."""

    engine: str
    measurements: int
    seconds: float
    """Wall time of the engine, one fit."""
    statistics_bytes: int
    """Peak memory of the process once the screen was made, before the fit."""
    peak_bytes: int
    """Peak memory of the process after the fit."""
    ess_min: float
    """Smallest bulk ESS over all parameters, of exact no more than its points are worth."""
    rhat_max: float
    beta_error: float
    """Root mean square over genes with an effect of (posterior mean - truth) / posterior SD of
    beta; about 1."""


def measure(size: Size) -> Growth:
    """Make the screen, fit it, and only then look at the draws."""
    _warm_up(size)
    slopes: np.ndarray | float = 0.0
    if size.model == "m4_screen":
        slopes, _ = sparse_slopes(size.genes, SHARE, size.seed)
    design, beta = made(
        size.genes, size.cell_lines, size.guides_per_gene, TRUTHS[size.model], size.seed, slopes
    )
    parameters = _parameters(size, size.draws // 4)
    before = int(peak_memory())
    start = perf_counter()
    tree = run_engine(design, parameters)
    seconds = perf_counter() - start
    after = int(peak_memory())
    posterior = tree["posterior"].dataset
    statistics = tree["sample_stats"].dataset
    ess, rhat = yardstick({str(name): posterior[name].to_numpy() for name in posterior.data_vars})
    if tree.attrs["engine"] == "exact":
        ess = min(ess, float(statistics["importance_efficiency"] * statistics["n_points"]))
    slope = posterior["beta_g"]
    spread = slope.std(("chain", "draw"))
    z = ((slope.mean(("chain", "draw")) - beta) / spread).where(beta != 0)
    return Growth(
        engine=tree.attrs["engine"],
        measurements=design.n_measurements,
        seconds=seconds,
        statistics_bytes=before,
        peak_bytes=after,
        ess_min=ess,
        rhat_max=rhat,
        beta_error=float(np.sqrt((z**2).mean())),
    )


def _warm_up(size: Size) -> None:
    """Fit a tiny screen, so that importing libraries is neither timed nor counted as memory."""
    design, _ = made(20, 10, 2, TRUTHS[size.model], size.seed)
    run_engine(design, _parameters(size, 50))


def _parameters(size: Size, draws: int) -> FitParameters:
    return FitParameters(
        model=size.model,
        seed=size.seed,
        sampling=Sampling(chains=4, draws=draws),
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(Size(**json.loads(sys.argv[1]))))) + "\n")

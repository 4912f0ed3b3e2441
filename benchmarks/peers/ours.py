"""A peer in its own process: one of our engines, started as the flows start it, and timed.

`python -m benchmarks.peers.ours ENGINE SAMPLER FOLDER`; what is read and written:
`benchmarks.peers`. Effective sample sizes are `benchmarks.peers.run`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import xarray as xr

from benchmarks.screens import load_design
from model.engines.run import run_engine
from schemas.parameters import FitParameters

Alone = Callable[[xr.DataTree, float, float], float]
"""Given the result, and when it all began and ended, the seconds of tuning and sampling alone."""


def main(engine: str, sampler: str, folder: Path) -> None:
    """Fit the screen in `folder` as its job says; write the times and the draws."""
    job = json.loads((folder / "job.json").read_text())
    design = load_design(folder / "design.npz")
    parameters = FitParameters.model_validate(
        {
            "model": job["model"],
            "engine": engine,
            "seed": job["seed"],
            "sampling": {
                "sampler": sampler,
                **{name: job[name] for name in ("draws", "tune", "chains")},
                **({"draws": job["exact_draws"]} if engine == "exact" else {}),
            },
        }
    )
    with SAMPLING_ALONE[sampler if engine == "nuts" else "exact"]() as alone:
        start = perf_counter()
        tree = run_engine(design, parameters)
        end = perf_counter()
    result: dict[str, Any] = {"seconds_whole": end - start}
    if engine == "exact":
        # Once warm, the fits differ by what else the machine does; the first was the warm-up.
        result["seconds_fit"] = [
            _seconds(lambda: run_engine(design, parameters)) for _ in range(job["repeats"])
        ]
        statistics = tree["sample_stats"].dataset
        points = statistics["importance_efficiency"] * statistics["n_points"]
        result["independent_draws"] = float(points)
    else:
        result["seconds_fit"] = [alone(tree, start, end)]
    result["version"] = version("screenbayes" if engine == "exact" else sampler)
    posterior = tree["posterior"].dataset
    draws: dict[str, Any] = {str(name): posterior[name].to_numpy() for name in posterior.data_vars}
    np.savez(folder / "draws.npz", **draws)
    (folder / "result.json").write_text(json.dumps(result))


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


@contextmanager
def _nothing_compiled() -> Iterator[Alone]:
    yield lambda tree, start, end: end - start


@contextmanager
def _pymc_says() -> Iterator[Alone]:
    yield lambda tree, start, end: float(tree["sample_stats"].attrs["sampling_time"])


@contextmanager
def _nutpie_compiles() -> Iterator[Alone]:
    import nutpie

    compile_model = nutpie.compile_pymc_model
    ready = 0.0

    def timed(*arguments: Any, **options: Any) -> Any:
        nonlocal ready
        compiled = compile_model(*arguments, **options)
        ready = perf_counter()
        return compiled

    with patch.object(nutpie, "compile_pymc_model", timed):
        yield lambda tree, start, end: end - ready


@contextmanager
def _jax_compiles() -> Iterator[Alone]:
    import jax
    import numpyro  # noqa: F401  # not to be imported while the clock runs

    seconds = 0.0

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        nonlocal seconds
        if event.startswith("/jax/core/compile/"):
            seconds += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield lambda tree, start, end: end - start - seconds


SAMPLING_ALONE = {
    "exact": _nothing_compiled,
    "pymc": _pymc_says,
    "nutpie": _nutpie_compiles,
    "numpyro": _jax_compiles,
}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

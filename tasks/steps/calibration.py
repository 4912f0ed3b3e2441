"""The Prefect tasks of a calibration: simulations side by side on this machine's cores."""

from __future__ import annotations

import signal
import time
from contextlib import closing

import joblib
from prefect import task
from prefect.cache_policies import NO_CACHE

from model.simulation.calibration import Engine, SimulationResult, one_simulation
from schemas.calibration import CalibrationSettings
from tasks.runtime.progress import Progress, log_info

TRIAL = 2
"""Simulations timed before the others, the second of them without what a first one loads."""


@task(name="simulate and fit", cache_policy=NO_CACHE)
def simulations_task(settings: CalibrationSettings, engine: Engine) -> list[SimulationResult]:
    """Run all simulations, in order; progress in simulations, their cost logged first."""
    n, cores = settings.simulations, joblib.cpu_count()
    seconds = 0.0
    for index in range(TRIAL):
        started = time.perf_counter()
        one_simulation(settings, index, engine)
        seconds = time.perf_counter() - started
    log_info(
        f"{n:,} simulations of {settings.model} at {seconds:.2g} s each on {cores} core(s): about "
        f"{n * seconds / cores / 60:.1f} min"
    )
    with Progress("simulating and fitting") as progress:
        # Processes: much of the time of a small screen is Python's own. They receive Ctrl-C too;
        # this process handles it and ends them.
        found = joblib.Parallel(
            n_jobs=cores,
            return_as="generator",
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
        )(joblib.delayed(one_simulation)(settings, index, engine) for index in range(n))
        results = []
        with closing(found):  # an error outside of it, such as Ctrl-C, ends the processes too
            for result in found:
                results.append(result)
                progress(len(results), n)
    return results

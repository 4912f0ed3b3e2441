"""The Prefect tasks of a calibration: simulations side by side on this machine's cores."""

from __future__ import annotations

import signal
import time

import joblib
from prefect import task
from prefect.cache_policies import NO_CACHE

from model.calibration import Engine, SimulationResult, one_simulation
from model.calibration_verdict import ecdf_table, judge, pit_table
from schemas.calibration import CalibrationSettings
from tasks.progress import Progress, tell
from tasks.track_calibration import open_calibration, track_calibration

open_calibration_task = task(name="open run", cache_policy=NO_CACHE)(open_calibration)
track_calibration_task = task(name="track", cache_policy=NO_CACHE)(track_calibration)
pit_table_task = task(name="ranks", cache_policy=NO_CACHE)(pit_table)
ecdf_table_task = task(name="bands", cache_policy=NO_CACHE)(ecdf_table)
judge_task = task(name="judge", cache_policy=NO_CACHE)(judge)

TRIAL = 2
"""Simulations timed before the others, the second of them without what a first one loads."""


@task(name="simulate and fit", cache_policy=NO_CACHE)
def simulations_task(settings: CalibrationSettings, engine: Engine) -> list[SimulationResult]:
    """Run all simulations, in order; progress in simulations, their cost told first."""
    n, cores = settings.simulations, joblib.cpu_count()
    seconds = 0.0
    for index in range(TRIAL):
        started = time.perf_counter()
        one_simulation(settings, index, engine)
        seconds = time.perf_counter() - started
    tell(
        f"{n:,} simulations of {settings.model} at {seconds:.2g} s each on {cores} core(s): about "
        f"{n * seconds / cores / 60:.1f} min"
    )
    with Progress("simulating and fitting") as progress:
        # Processes: much of the time of a small screen is Python's own. A terminal tells them of
        # Ctrl-C too; it is for this one, which ends them.
        found = joblib.Parallel(
            n_jobs=cores,
            return_as="generator",
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
        )(joblib.delayed(one_simulation)(settings, index, engine) for index in range(n))
        results = []
        for result in found:
            results.append(result)
            progress(len(results), n)
    return results

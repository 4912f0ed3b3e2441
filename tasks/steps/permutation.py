"""The Prefect tasks of a permutation trial: permuted screens are fitted one after the other.

A fit uses all cores of this machine, or the workers, by itself.
"""

from __future__ import annotations

import math
import time
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.engines.run import describe_total_cost, run_engine
from model.screen.design import ScreenDesign
from model.simulation.permutation import PermutationResult, one_permutation
from schemas.parameters import FitParameters
from schemas.permutation import TrialSettings
from tasks.dask_cluster import workers_at
from tasks.runtime.progress import Progress, log_info


@task(name="permute and fit", cache_policy=NO_CACHE)
def permutations_task(
    design: ScreenDesign, parameters: FitParameters, settings: TrialSettings, dask: str = ""
) -> list[PermutationResult]:
    """Fit all permuted screens, in order; progress in screens, and in the units of the engine."""
    n, results = settings.permutations, []
    log_info(f"Permutation trial: {describe_total_cost(design, parameters, n)}")
    with (
        workers_at(dask) as workers,
        Progress("permuted screens") as progress,
        Progress("fitting one") as of_one,
    ):
        engine = partial(run_engine, workers=workers)
        for index in range(n):
            progress(index, n)
            started = time.perf_counter()
            results.append(one_permutation(design, parameters, settings, index, engine, of_one))
            if index == 0:
                seconds = time.perf_counter() - started
                log_info(
                    f"The first screen took {seconds:.2g} s: about "
                    f"{math.ceil((n - 1) * seconds):,} s for the others"
                )
        progress(n, n)
    return results

"""The Prefect tasks of a comparison. Nothing is cached: MLflow holds what was compared."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.data_changes import data_changes
from tasks.earlier_runs import close_abandoned
from tasks.named_fits import run_id_of
from tasks.track_comparison import (
    finished_comparison,
    open_comparison,
    open_part,
    read_comparison,
    track_comparison,
    track_part,
)
from tasks.tracked_fits import read_fit

run_id_task = task(name="find the fit", cache_policy=NO_CACHE)(run_id_of)
read_fit_task = task(name="read fit", cache_policy=NO_CACHE)(read_fit)
finished_comparison_task = task(name="look for the comparison", cache_policy=NO_CACHE)(
    finished_comparison
)
read_comparison_task = task(name="read the comparison", cache_policy=NO_CACHE)(read_comparison)
close_abandoned_task = task(name="close abandoned runs", cache_policy=NO_CACHE)(close_abandoned)
data_changes_task = task(name="compare the data", cache_policy=NO_CACHE)(data_changes)
open_comparison_task = task(name="open run", cache_policy=NO_CACHE)(open_comparison)
open_part_task = task(name="open nested run", cache_policy=NO_CACHE)(open_part)
track_part_task = task(name="track a part", cache_policy=NO_CACHE)(track_part)
track_comparison_task = task(name="track", cache_policy=NO_CACHE)(track_comparison)

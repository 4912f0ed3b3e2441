"""The Prefect tasks of a promotion. Nothing is cached: each looks at what is so now."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.promotion import keep_decision, read_champion, read_preparation
from tasks.registry import champion_of, move_champion, registered_version
from tasks.track_calibration import latest_calibration

champion_task = task(name="look for the champion", cache_policy=NO_CACHE)(champion_of)
latest_calibration_task = task(name="look for the calibration", cache_policy=NO_CACHE)(
    latest_calibration
)
read_champion_task = task(name="read champion", cache_policy=NO_CACHE)(read_champion)
read_preparation_task = task(name="read preparation", cache_policy=NO_CACHE)(read_preparation)
keep_decision_task = task(name="keep the decision", cache_policy=NO_CACHE)(keep_decision)
registered_version_task = task(name="look for the version", cache_policy=NO_CACHE)(
    registered_version
)
move_champion_task = task(name="move the champion", cache_policy=NO_CACHE)(move_champion)

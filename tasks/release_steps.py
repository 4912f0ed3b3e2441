"""The Prefect tasks of a look at the releases. Apart from those of a fit, which load PyMC."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import INPUTS, NO_CACHE

from tasks.earlier_runs import latest_fits
from tasks.releases import content_digests, look_under

latest_fits_task = task(name="look for fits", cache_policy=NO_CACHE)(latest_fits)
look_under_task = task(name="look under prefix", cache_policy=NO_CACHE)(look_under)
# Read once: a look at an unchanged prefix asks no disk for more than times and sizes. One task a
# release, not a table: each costs a tenth of a second and a row in Prefect's database.
content_digests_task = task(
    name="digest", cache_policy=INPUTS, persist_result=True, result_serializer="json"
)(content_digests)

"""The Prefect task of a refresh, apart from those of a fit, which load PyMC."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import INPUTS

from tasks.reading.releases import content_digests

# Read once: a look at an unchanged prefix asks no disk for more than times and sizes. One task a
# release, not a table: each costs a tenth of a second and a row in Prefect's database.
content_digests_task = task(
    name="digest", cache_policy=INPUTS, persist_result=True, result_serializer="json"
)(content_digests)

"""The Prefect tasks of an import. Nothing is cached: a trace is large, and MLflow holds the run."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.engines.import_trace import align_trace
from tasks.reading.trace import read_trace

read_trace_task = task(name="read trace", cache_policy=NO_CACHE)(read_trace)
import_task = task(name="import trace", cache_policy=NO_CACHE)(align_trace)

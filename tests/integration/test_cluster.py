"""The fit task of a flow on a cluster: computed in other processes, told about in this one."""

from __future__ import annotations

import os

import numpy as np
import pytest
import xarray as xr
from prefect import flow

from schemas.parameters import FitParameters
from tasks import steps
from tasks.progress import listen
from tests.tasks import on_workers

pytestmark = [pytest.mark.integration]
N = 6


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self):
        self.done = []

    def tell(self, text):
        pass

    def progress(self, stage, done, total):
        self.done.append((stage, done))


def on_blocks(design, parameters, on_progress, workers):
    """Stand in for an engine: which processes computed."""
    pids = []
    for pid, _ in workers.hold(list(range(N))).map(on_workers.who, 0.0):
        pids.append(pid)
        on_progress(len(pids), N)
    return xr.DataTree(xr.Dataset({"pid": ("block", np.array(pids))}))


def test_a_fit_task_computes_on_a_cluster_and_reports_here(working_folder, monkeypatch):
    monkeypatch.setattr(steps, "run_engine", on_blocks)

    @flow
    def fit_on_a_cluster():
        return steps.fit_task(None, FitParameters(engine="exact"), "local")

    heard = Heard()
    with listen(heard):
        tree = fit_on_a_cluster()
    assert tree["pid"].size == N
    assert os.getpid() not in tree["pid"].values
    assert [("integrating", done) for done in range(1, N + 1)] == heard.done[:N]

"""Peers are started apart and measured alike, and those that did not run are named."""

import sys

import pytest

from benchmarks.peers import PEERS, Job, Peer
from benchmarks.peers.run import Fit, NotRun, run

WRITES = """
import json, sys, numpy as np
from pathlib import Path
folder = Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
draws = np.random.default_rng(1).normal(size=(job["chains"], job["draws"], 2))
np.savez(folder / "draws.npz", beta_g=draws, sigma=draws[..., 0])
result = {"version": "1", "seconds_whole": 9.0, "seconds_fit": [3.0, 1.0, 2.0]}
(folder / "result.json").write_text(json.dumps(result | EXTRA))
"""


@pytest.fixture
def run_script(monkeypatch, tmp_path):
    """Function that lets the peer `exact` be a Python script, and runs it."""

    def run_it(text: str, timeout: float | None = None) -> Fit | NotRun:
        command = [sys.executable, "-c", text]
        monkeypatch.setitem(PEERS, "exact", Peer(lambda job: [*command, str(job.folder)]))
        return run("exact", Job(tmp_path, "m4", draws=500), timeout)

    return run_it


def test_a_peer_is_measured_and_what_it_left_is_no_result_of_the_next(run_script):
    fit = run_script(WRITES.replace("EXTRA", "{}"))
    assert isinstance(fit, Fit)
    assert (fit.draws, fit.seconds, fit.seconds_whole) == (2000, 2.0, 9.0)
    assert 1500 < fit.ess_min < 2500 and fit.ess_per_second == fit.ess_min / 2
    assert fit.rhat_max < 1.01
    # Weighted points are not counted twice.
    assert run_script(WRITES.replace("EXTRA", '{"independent_draws": 321.0}')).ess_min == 321.0
    failed = run_script("raise ValueError('no mode')")
    assert failed == NotRun("exact", "failed with exit code 1: ValueError: no mode")
    assert run_script("pass") == NotRun("exact", "failed with exit code 0: it said nothing")

"""Peers are started apart, measured by one yardstick, and told aloud where they did not run."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from benchmarks.engines import table
from benchmarks.growth import exponent
from benchmarks.peers import PEERS, PYMC3_VARIABLE, Job, Peer
from benchmarks.peers.run import Fit, NotRun, run, told, yardstick

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
def job(tmp_path):
    return Job(tmp_path, "m4", draws=500)


@pytest.fixture
def script(monkeypatch):
    """Let `exact` be a Python script."""

    def put(text: str) -> None:
        command = [sys.executable, "-c", text]
        monkeypatch.setitem(PEERS, "exact", Peer(lambda job: [*command, str(job.folder)]))

    return put


def test_a_peer_is_measured(job, script):
    script(WRITES.replace("EXTRA", "{}"))
    fit = run("exact", job)
    assert isinstance(fit, Fit)
    assert (fit.draws, fit.seconds, fit.seconds_whole) == (2000, 2.0, 9.0)
    assert 1500 < fit.ess_min < 2500
    assert fit.ess_per_second == fit.ess_min / 2
    assert fit.rhat_max < 1.01


def test_weighted_points_are_not_counted_twice(job, script):
    script(WRITES.replace("EXTRA", '{"independent_draws": 321.0}'))
    assert run("exact", job).ess_min == 321.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ValueError('no mode')", "failed with exit code 1: ValueError: no mode"),
        ("pass", "failed with exit code 0: it said nothing"),
    ],
)
def test_a_peer_that_fails_is_told(job, script, text, reason):
    script(WRITES.replace("EXTRA", "{}"))
    run("exact", job)
    script(text)  # what an earlier peer left in the folder must not be taken for its result
    assert run("exact", job) == NotRun("exact", reason)


def test_a_slow_peer_is_stopped_with_its_children(job, script):
    child = "import time; time.sleep(60)"
    script(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    start = perf_counter()
    assert run("exact", job, timeout=1) == NotRun("exact", "stopped after 1 s")
    assert perf_counter() - start < 10


def test_pymc3_is_skipped_aloud(job, monkeypatch, tmp_path):
    monkeypatch.setenv(PYMC3_VARIABLE, str(tmp_path / "nowhere" / "python"))
    said = told(run("pymc3", job))
    assert said.startswith("pymc3: skipped, no Python with pymc3 at ")
    assert "benchmarks/pymc3-requirements.txt" in said
    assert Path("benchmarks/pymc3-requirements.txt").is_file()


def test_lme4_is_skipped_aloud(job, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "r-cran-lme4" in told(run("lme4", job))


def test_a_model_the_peer_does_not_have_is_skipped_aloud(tmp_path):
    said = told(run("pymc3", Job(tmp_path, "m4_nested")))
    assert said == "pymc3: skipped, fits m4 and m4_zero_mean only"


def test_one_bad_parameter_decides():
    draws = np.random.default_rng(0).normal(size=(4, 200, 3))
    draws[0, :, 1] += 5
    ess, rhat = yardstick({"sigma": draws[..., 0], "beta_g": draws})
    assert ess < 20
    assert rhat > 1.5
    draws[:, :, 2] = np.nan
    assert np.isnan(yardstick({"beta_g": draws})).all()


def test_ratio_is_to_pymc3_or_to_the_slowest():
    fits = [
        Fit("pymc3", "3.9.3", (10.0,), 20.0, 8000, 100.0, 1.0),
        Fit("pymc", "6", (100.0,), 110.0, 8000, 100.0, 1.0),
        Fit("lme4", "1", (0.1,), 0.1),
        Fit("exact", "0", (1.0,), 2.0, 8000, 1000.0, 1.0),
    ]
    rows, base = table(fits)
    assert base == "pymc3"
    assert rows.set_index("peer")["ratio"]["exact"] == 100
    assert rows.set_index("peer")["ratio"].isna()["lme4"]
    rows, base = table(fits[1:])
    assert base == "pymc"
    assert rows.set_index("peer")["ratio"]["exact"] == 1000


def test_exponent_is_that_of_a_power():
    import pandas as pd

    sizes = pd.Series([10, 20, 40, 80])
    assert exponent(sizes, 3.0 * sizes**1.5) == pytest.approx(1.5)

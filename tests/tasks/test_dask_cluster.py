"""Blocks on a Dask cluster give the results of this process, and errors say what to do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from distributed import Client

from model.engines.run import run_engine
from model.runtime.executors import LocalExecutor
from schemas.errors import ExternalServiceError, UserError
from schemas.parameters import FitParameters, Sampling
from tasks import dask_cluster as cluster
from tasks import dask_executor as dask_workers
from tasks.dask_cluster import ClusterOptionError, check_cluster, workers_at
from tests.designs import design_from_rows, nested_rows
from tests.faults.fake_servers import silent
from tests.integration.processes import free_port, wait_until
from tests.tasks import on_workers

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = [np.full((3 + i, 4), float(i)) for i in range(10)]
pytestmark = [pytest.mark.integration]


@pytest.fixture(scope="module")
def local():
    with workers_at("local") as workers:
        yield workers


@contextmanager
def dask(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Dask's own command line."""
    command = [sys.executable, "-m", "dask", *words, "--host", "127.0.0.1", "--no-dashboard"]
    null = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, stdout=null, stderr=null)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_exact_engine_draws_the_same_as_in_this_process(local, monkeypatch):
    # Several blocks of a small screen.
    monkeypatch.setattr("model.engines.exact.blocks.BLOCK_SIZE", 100)
    design = design_from_rows(nested_rows(12, 8, 3, 2)[0])
    parameters = FitParameters(model="m4_nested", engine="exact", sampling=Sampling(draws=200))
    here, there = (
        run_engine(design, parameters, workers=workers)["posterior"].to_dataset()
        for workers in (LocalExecutor(), local)
    )
    assert here.equals(there)


def test_workers_have_a_core_and_a_thread_each_and_do_not_run_far_ahead(local, tmp_path):
    whose = set(local.scatter(BLOCKS).map(on_workers.who, 0.1))
    assert {threads for _, threads in whose} == {"1"}
    pids = {pid for pid, _ in whose}
    assert len(whose) == len(pids) <= (os.cpu_count() or 1) and os.getpid() not in pids
    results = local.scatter(list(range(40))).map(on_workers.leave_a_mark, tmp_path)
    assert next(results) == 0
    time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) < 40
    assert list(results) == list(range(1, 40)) and len(list(tmp_path.iterdir())) == 40


def test_a_worker_that_dies_is_replaced_until_one_block_kills_several(local, monkeypatch):
    with pytest.raises(UserError, match="expected no 'gene'"):
        list(local.scatter(["gene"]).map(on_workers.refuse))
    held = local.scatter(BLOCKS)
    (pid, _), *_ = list(held.map(on_workers.who, 0.0))
    results = held.map(on_workers.weighted, np.eye(4), 0.5)
    first = next(results)
    os.kill(pid, signal.SIGKILL)
    for expected, result in zip(BLOCKS, [first, *results], strict=True):
        np.testing.assert_array_equal(result, expected)
    monkeypatch.setattr(dask_workers, "MAX_LOSSES", 1)
    with pytest.raises(ExternalServiceError, match="--memory-limit"):
        list(local.scatter(["gene"]).map(on_workers.die))


def test_a_cluster_at_an_address_is_used_checked_and_left_empty(monkeypatch):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with (
        dask("scheduler", "--port", str(port), "--no-show"),
        dask("worker", address, "--nthreads", "1", "--no-nanny") as worker,
        Client(address, timeout=60) as onlooker,
    ):
        onlooker.wait_for_workers(1, timeout=60)
        with workers_at(address) as workers:
            there = list(workers.scatter(BLOCKS).map(on_workers.weighted, np.eye(4)))
        np.testing.assert_array_equal(np.vstack(there), np.vstack(BLOCKS))
        wait_until(lambda: not any(onlooker.has_what().values()), 10, "the worker is empty")

        versions = cluster.version
        with monkeypatch.context() as patch:
            old = {"numpy": "0.1"}
            patch.setattr(cluster, "version", lambda name: old.get(name) or versions(name))
            with pytest.raises(ExternalServiceError) as refused:
                check_cluster(address, "exact")
        assert f"numpy {versions('numpy')} (here 0.1))" in str(refused.value)
        assert "scipy" not in str(refused.value)

        monkeypatch.setattr(dask_workers, "SECONDS_TO_RESTART", 1)
        with workers_at(address) as workers:
            results = workers.scatter(BLOCKS).map(on_workers.weighted, np.eye(4), 0.2)
            next(results)
            worker.kill()
            with pytest.raises(ExternalServiceError, match=f"--dask {address}: .*until the end"):
                list(results)
        monkeypatch.setattr(dask_workers, "SECONDS_TO_CONNECT", 1)
        with pytest.raises(ExternalServiceError, match="at least one worker, got none"):
            check_cluster(address, "exact")


def test_an_address_without_a_scheduler_is_reported_within_seconds(monkeypatch):
    started = time.monotonic()
    with silent() as address:
        address = address.replace("http", "tcp")
        with pytest.raises(ExternalServiceError, match="no answer within"), workers_at(address):
            pass
    with pytest.raises(ExternalServiceError, match="Connection refused"):
        check_cluster(address, "exact")
    assert time.monotonic() - started < 20


@pytest.mark.slow
def test_ctrl_c_leaves_no_processes():
    script = """if __name__ == '__main__':
        import signal
        # A shell in the background ignores it, and so do its children.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from tasks.dask_cluster import workers_at
        from tests.tasks import on_workers
        with workers_at('local') as workers:
            for _ in workers.scatter(list(range(2000))).map(on_workers.who, 0.2):
                print('one', flush=True)
    """
    command, pipe = [sys.executable, "-c", script], subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == b"one\n"
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.count(b"Traceback") == 1, errors.decode()  # this process's own
    assert not psutil.wait_procs(family, timeout=20)[1]


@pytest.mark.parametrize("where", ["host:8786", "http://host:80", "tcp://:8786", "tcp://[::1"])
def test_other_words_are_refused(where):
    with pytest.raises(ClusterOptionError, match="expected local, or the address"):
        check_cluster(where, "exact")


def test_nuts_is_not_spread_and_no_words_mean_this_process():
    with pytest.raises(ClusterOptionError, match="--engine exact"):
        check_cluster("local", "nuts")
    check_cluster("", "nuts")
    with workers_at("") as workers:
        assert isinstance(workers, LocalExecutor)

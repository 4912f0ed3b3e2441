"""The same blocks, here and on a Dask cluster: what comes back, and what is left when it cannot."""

from __future__ import annotations

import os
import signal
import socket
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

from model.engines import run_engine
from model.exact.workers import ThisProcess
from schemas.errors import EnvironmentTrouble, UserError
from schemas.parameters import FitParameters, Sampling
from tasks import cluster, dask_workers
from tasks.cluster import ClusterOptionError, check_cluster, workers_at
from tests.designs import design_from_rows, nested_rows
from tests.integration.processes import free_port
from tests.tasks import on_workers

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = [np.full((3 + i, 4), float(i)) for i in range(10)]
pytestmark = [pytest.mark.integration]


def worker_processes() -> set[int]:
    """Processes that Dask started in this one, themselves or their keepers."""
    return {
        child.pid
        for child in psutil.Process().children(recursive=True)
        # Dask calls them by another name where it can.
        if any(name in " ".join(child.cmdline()) for name in ("spawn_main", "dask worker"))
    }


@pytest.fixture(scope="module")
def local():
    """Workers of a cluster on this machine; there are none before, and none left after."""
    before = worker_processes()
    with workers_at("local") as workers:
        assert worker_processes() - before
        yield workers
    assert worker_processes() == before


@contextmanager
def dask(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Dask's own command line."""
    command = [sys.executable, "-m", "dask", *words, "--host", "127.0.0.1", "--no-dashboard"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def scheduler() -> Iterator[str]:
    """Address of a scheduler that has no workers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with dask("scheduler", "--port", str(port), "--no-show"):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"tcp://127.0.0.1:{port}"


def test_results_are_those_of_this_process_in_order(local):
    weights = np.random.default_rng(1).normal(size=(4, 50_000))
    here = ThisProcess().hold(BLOCKS).map(on_workers.weighted, weights)
    there = local.hold(BLOCKS).map(on_workers.weighted, weights, 0.3)
    for expected, result in zip(here, there, strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("model", ["m4", "m4_nested"])
def test_the_exact_engine_draws_the_same_as_in_this_process(local, model, monkeypatch):
    monkeypatch.setattr("model.exact.blocks.BLOCK_SIZE", 100)  # several blocks of a small screen
    design = design_from_rows(nested_rows(12, 8, 3, 2)[0])
    parameters = FitParameters(model=model, engine="exact", sampling=Sampling(draws=200))
    here, there = (
        run_engine(design, parameters, workers=workers)["posterior"].dataset
        for workers in (ThisProcess(), local)
    )
    for name in here.data_vars:
        np.testing.assert_array_equal(there[name], here[name])


def test_blocks_stay_whole_and_are_held_for_many_maps(local):
    blocks = [[1, 2], {"a": 3}, (4,), "five"]
    held = local.hold(blocks)
    for _ in range(2):
        assert [block for block, _ in held.map(on_workers.pair, "x")] == blocks
    assert list(local.hold([]).map(on_workers.pair, "x")) == []


def test_what_the_function_raises_comes_through(local):
    with pytest.raises(UserError, match="expected no 'gene'"):
        list(local.hold(["gene"]).map(on_workers.refuse))


def test_workers_do_not_run_far_ahead(local, tmp_path):
    n = 40
    results = local.hold(list(range(n))).map(on_workers.leave_a_mark, tmp_path)
    assert next(results) == 0
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) < n
    assert list(results) == list(range(1, n))
    assert len(list(tmp_path.iterdir())) == n


def test_workers_have_a_core_and_a_thread_each(local):
    whose = set(local.hold(BLOCKS).map(on_workers.who, 0.1))
    assert {threads for _, threads in whose} == {"1"}
    assert len(whose) == len({pid for pid, _ in whose}) <= (os.cpu_count() or 1)
    assert os.getpid() not in {pid for pid, _ in whose}


def test_a_worker_that_dies_midway_is_replaced(local):
    weights = np.eye(4)
    held = local.hold(BLOCKS)
    (pid, _), *_ = list(held.map(on_workers.who, 0.0))
    results = held.map(on_workers.weighted, weights, 0.5)
    first = next(results)
    os.kill(pid, signal.SIGKILL)
    for expected, result in zip(BLOCKS, [first, *results], strict=True):
        np.testing.assert_array_equal(result, expected)


def test_a_block_that_kills_its_workers_is_told(local, monkeypatch):
    monkeypatch.setattr(dask_workers, "MOST_LOSSES", 1)
    with pytest.raises(EnvironmentTrouble, match="--memory-limit"):
        list(local.hold(["gene"]).map(on_workers.die))


def test_a_cluster_at_an_address(scheduler, monkeypatch):
    monkeypatch.setattr(dask_workers, "SECONDS_TO_CONNECT", 1)
    with pytest.raises(EnvironmentTrouble, match="at least one worker, got none"):
        check_cluster(scheduler, "exact")
    monkeypatch.undo()

    with dask("worker", scheduler, "--nthreads", "1", "--no-nanny") as worker:
        with Client(scheduler) as onlooker:
            onlooker.wait_for_workers(1, timeout=30)
            with workers_at(scheduler) as workers:
                there = list(workers.hold(BLOCKS).map(on_workers.weighted, np.eye(4)))
            np.testing.assert_array_equal(np.vstack(there), np.vstack(BLOCKS))
            deadline = time.monotonic() + 10
            while any(onlooker.has_what().values()) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not any(onlooker.has_what().values())

        with monkeypatch.context() as patch:
            versions = cluster.version
            patch.setattr(
                cluster, "version", lambda name: "0.1" if name == "numpy" else versions(name)
            )
            with pytest.raises(EnvironmentTrouble) as refused:
                check_cluster(scheduler, "exact")
            assert f"numpy {versions('numpy')} (here 0.1))" in str(refused.value)
            assert "scipy" not in str(refused.value)

        monkeypatch.setattr(dask_workers, "SECONDS_TO_RESTART", 1)
        with workers_at(scheduler) as workers:
            results = workers.hold(BLOCKS).map(on_workers.weighted, np.eye(4), 0.2)
            next(results)
            worker.kill()
            with pytest.raises(EnvironmentTrouble, match=f"--dask {scheduler}: .*until the end"):
                list(results)


def test_an_address_where_nobody_answers_is_told_within_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(EnvironmentTrouble, match="no answer within"), workers_at(address):
            pass
    with pytest.raises(EnvironmentTrouble, match="Connection refused"):
        check_cluster(address, "exact")
    assert time.monotonic() - started < 20


def test_a_refusal_is_told_where_dask_was_cut_off_in_its_last_try(monkeypatch):
    async def cut_off(*_, **__):
        raise OSError("Timed out trying to connect") from TimeoutError()

    monkeypatch.setattr(dask_workers, "connect", cut_off)
    with pytest.raises(EnvironmentTrouble, match="Connection refused"):
        check_cluster(f"tcp://127.0.0.1:{free_port()}", "exact")


def test_ctrl_c_leaves_no_processes():
    script = (
        "import signal\n"
        # A shell in the background ignores it, and so do its children.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tasks.cluster import workers_at\n"
        "from tests.tasks import on_workers\n"
        "if __name__ == '__main__':\n"
        "    with workers_at('local') as workers:\n"
        "        for _ in workers.hold(list(range(2000))).map(on_workers.who, 0.2):\n"
        "            print('one', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdout.readline() == b"one\n"
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said.count(b"Traceback") == 1, said.decode()  # this process's own
    _, left = psutil.wait_procs(family, timeout=20)
    assert not left


@pytest.mark.parametrize(
    "where",
    [
        "host:8786",
        "Local",
        "http://host:80",
        "tcp://host",
        "tcp://:8786",
        "tcp://h:x",
        "tcp://[::1",
    ],
)
def test_other_words_are_refused(where):
    with pytest.raises(ClusterOptionError, match="expected local, or the address"):
        check_cluster(where, "exact")
    with pytest.raises(ClusterOptionError), workers_at(where):
        pass


def test_nuts_is_not_spread():
    with pytest.raises(ClusterOptionError, match="--engine exact"):
        check_cluster("local", "nuts")
    check_cluster("", "nuts")


def test_nothing_means_this_process():
    with workers_at("") as workers:
        assert isinstance(workers, ThisProcess)

"""Threads of a forked process, and BLAS in one thread."""

import multiprocessing
import os
import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from model.runtime.executors import n_threads, on_one_thread, threaded_map


def blas_threads(*_: object) -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    all_at_work = threading.Barrier(n_threads())
    assert len(list(threaded_map(lambda _: all_at_work.wait(), range(n_threads())))) == n_threads()
    forked = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(list(threaded_map(abs, [-2, -3])) != [2, 3])
    )
    forked.start()
    forked.join(timeout=20)
    ended = forked.exitcode
    forked.kill()
    assert ended == 0


def test_a_block_is_computed_with_blas_in_one_thread():
    assert on_one_thread(pow, 3, 2, 7) == 2
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("BLAS has one thread only")
        assert on_one_thread(blas_threads, 0) == {1}
        assert blas_threads() == {2}

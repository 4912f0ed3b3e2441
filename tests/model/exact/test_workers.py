"""Blocks are computed in order, few at a time, with BLAS in one thread."""

import multiprocessing
import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from model.exact import workers as module
from model.exact.workers import ThisProcess, n_threads, on_one_thread, side_by_side, sum_of


def blas_threads(*_: object) -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_blocks_are_mapped_in_their_order_and_results_are_summed():
    held = ThisProcess().hold([3, 1, 2, 5, 4, 0])
    assert list(held.map(pow, 2, 7)) == [2, 1, 4, 4, 2, 0]
    assert sum_of(np.array([part, 2 * part]) for part in (1, 10, 100)).tolist() == [111, 222]


def test_few_results_wait_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "n_threads", lambda: 2)
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(8):
            taken.append(item)
            yield item

    found = side_by_side(lambda item: (item, threading.current_thread()), items())
    first, thread = next(found)
    assert first == 0
    assert thread is not threading.main_thread()
    assert taken == [0, 1, 2]  # two are computed while the first is returned
    assert [item for item, _ in found] == list(range(1, 8))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    all_at_work = threading.Barrier(n_threads())
    assert len(list(side_by_side(lambda _: all_at_work.wait(), range(n_threads())))) == n_threads()
    forked = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(list(side_by_side(abs, [-2, -3])) != [2, 3])
    )
    forked.start()
    forked.join(timeout=20)
    ended = forked.exitcode
    forked.kill()
    assert ended == 0


def test_there_are_as_many_threads_as_cores_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", {0: {2, 5, 7}}.__getitem__, raising=False)
    assert n_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", iter([6, None]).__next__)
    assert (n_threads(), n_threads()) == (6, 1)


def test_a_block_is_computed_with_blas_in_one_thread():
    assert on_one_thread(pow, 3, 2, 7) == 2
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("BLAS has one thread only")
        assert on_one_thread(blas_threads, 0) == {1}
        assert blas_threads() == {2}

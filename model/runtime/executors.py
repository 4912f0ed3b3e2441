"""Executors, which map functions over gene blocks in this process or on workers.

Results are returned and combined in the order of the blocks, so that they do not depend on the
executor. `tasks.dask_executor` uses workers on other machines.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Protocol

import numpy as np
from threadpoolctl import ThreadpoolController


class ScatteredBlocks(Protocol):
    """Blocks stored on workers, so that they are sent once."""

    def map[R](self, function: Callable[..., R], *arguments: Any) -> Iterator[R]:
        """Yield `function(block, *arguments)` for every block, in the order of the blocks.

        `function`, defined at the top level of a module, and the arguments can be pickled.
        """
        ...


class Executor(Protocol):
    """Maps functions over gene blocks."""

    def scatter(self, blocks: Sequence[Any]) -> ScatteredBlocks:
        """Send the blocks to the workers; they must not change afterwards."""
        ...


class _LocalBlocks:
    def __init__(self, blocks: Sequence[Any]) -> None:
        self._blocks = blocks

    def map[R](self, function: Callable[..., R], *arguments: Any) -> Iterator[R]:
        return threaded_map(lambda block: function(block, *arguments), self._blocks)


class LocalExecutor:
    """Executor of this process, with one thread per core."""

    def scatter(self, blocks: Sequence[Any]) -> ScatteredBlocks:
        """Return the blocks without copying them."""
        return _LocalBlocks(blocks)


def threaded_map[T, R](function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield `function(item)` in order, with one thread per core and few pending results."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(_pool().submit(function, item))
            if len(waiting) > n_threads():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def sum_of(parts: Iterator[np.ndarray]) -> np.ndarray:
    """Return the sum of arrays, added in order, with one of them in memory at a time."""
    total = next(parts)
    for part in parts:
        total += part
    return total


def n_threads() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_one_thread[R](function: Callable[..., R], block: Any, *arguments: Any) -> R:
    """Return `function(block, *arguments)`, with BLAS in one thread as in this process."""
    with one_blas_thread():
        return function(block, *arguments)


def one_blas_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS uses only the calling thread.

    Matrices are many and of moderate size: threads over blocks keep all cores busy, threads within
    a matrix mostly wait. It also makes the last digits independent of the number of cores.
    """
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads(), thread_name_prefix="exact")


if hasattr(os, "register_at_fork"):
    # A forked process has no threads; its copy of the pool would wait for them forever.
    os.register_at_fork(after_in_child=_pool.cache_clear)

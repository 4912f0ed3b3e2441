"""Where the passes over a screen are computed: this process, or others that stand in for it.

The exact engine cuts a screen into blocks of genes and only ever asks one thing of whoever
computes: apply a function to every block, and hand the results back in the order of the blocks.
Results are combined in that order, so that they do not depend on who computed them. Workers on
other machines are `tasks.cluster`.
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


class Held(Protocol):
    """Blocks that workers hold, so that they travel once."""

    def map[R](self, function: Callable[..., R], *arguments: Any) -> Iterator[R]:
        """Yield `function(block, *arguments)` of every block, in the order of the blocks.

        `function` is a module's function; both it and the arguments can be pickled.
        """
        ...


class Workers(Protocol):
    """Somebody who computes."""

    def hold(self, blocks: Sequence[Any]) -> Held:
        """Take the blocks; they are not changed afterwards."""
        ...


class _HeldHere:
    def __init__(self, blocks: Sequence[Any]) -> None:
        self._blocks = blocks

    def map[R](self, function: Callable[..., R], *arguments: Any) -> Iterator[R]:
        return side_by_side(lambda block: function(block, *arguments), self._blocks)


class ThisProcess:
    """Computes here, a thread a core."""

    def hold(self, blocks: Sequence[Any]) -> Held:
        """Keep the blocks where they are."""
        return _HeldHere(blocks)


def side_by_side[T, R](function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield `function(item)` in order, computed in a thread a core; few results wait at a time."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(_pool().submit(function, item))
        if len(waiting) > n_threads():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def sum_of(parts: Iterator[np.ndarray]) -> np.ndarray:
    """Return the sum of arrays, in their order, holding one of them at a time."""
    total = next(parts)
    for part in parts:
        total += part
    return total


def n_threads() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_one_thread[R](function: Callable[..., R], block: Any, *arguments: Any) -> R:
    """Return `function(block, *arguments)`, computed as in this process: BLAS in one thread."""
    with one_blas_thread():
        return function(block, *arguments)


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to the thread that calls it.

    The work is in many middling matrices. Shared out between blocks it keeps all cores busy; shared
    out inside every matrix, threads mostly wait for each other. It also makes the last digits
    independent of the number of cores.
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
    # The threads stay behind in a fork; the pool would wait there for them without end.
    os.register_at_fork(after_in_child=_pool.cache_clear)

"""Executor on a Dask cluster, through Prefect: sends blocks once, maps many functions over them.

Only functions of blocks run on workers; flow, tasks and progress stay in the process of the flow.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from distributed import CancelledError, Client, Future, KilledWorker, Security
from distributed.comm.core import CommClosedError, connect
from distributed.utils import silence_logging_cmgr
from prefect_dask.task_runners import DaskTaskRunner

from model.runtime.executors import Executor, ScatteredBlocks, on_one_thread
from schemas.errors import ExternalServiceError
from tasks.dask_cluster import LOCAL, environment
from tasks.runtime.progress import log_info

SECONDS_TO_CONNECT = 5
SECONDS_PER_ATTEMPT = 3
SECONDS_TO_RESTART = 60
"""How long to wait for lost workers: nannies restart them within seconds."""
SECONDS_TO_NOTICE = 0.5
"""How long the scheduler may take to notice a dead worker."""
MAX_LOSSES = 3
"""How often one block may be lost with its worker; the same as Dask's default for tasks."""
SHOWN = 3
"""How many workers with other versions a message names."""
IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""Preload of local workers: the process of the flow receives Ctrl-C too, and stops them."""
MEMORY = "most often the memory was too small"


class ClusterError(ExternalServiceError):
    """A Dask cluster does not answer, has no suitable workers, or lost them."""


@contextmanager
def local_cluster() -> Iterator[Executor]:
    """Start one worker process per core on this machine; stop them on exit.

    Each has one thread (also for BLAS) and its share of the memory. Connections use TLS with
    temporary certificates, because Dask runs any code it receives and the machine may be shared.
    """
    runner = DaskTaskRunner(
        cluster_kwargs={
            "threads_per_worker": 1,
            "processes": True,
            "host": "127.0.0.1",
            "security": True,
            "dashboard_address": None,
            # The remaining pages, health and counts, on any free port.
            "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},
            "silence_logs": logging.CRITICAL,
            "preload": [IGNORE_CTRL_C],
        }
    )
    with _quiet(), runner:
        yield DaskWorkers(runner.client, LOCAL)


@contextmanager
def existing_cluster(address: str) -> Iterator[Executor]:
    """Connect to the scheduler at `address`; Dask's configuration has certificates for tls://.

    Raises ClusterError if no scheduler answers, it has no workers, or they run other versions.
    """
    _require_answer(address)
    with _quiet(), DaskTaskRunner(address=address) as runner:
        client = runner.client
        try:
            client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
        except TimeoutError:
            raise ClusterError(
                f"--dask {address}: expected at least one worker, got none within "
                f"{SECONDS_TO_CONNECT} s; start some: dask worker {address} --nthreads 1"
            ) from None
        _require_same_environment(client, address)
        yield DaskWorkers(client, address)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide Dask's log, whose tracebacks of lost connections are reported as errors here."""
    with (
        silence_logging_cmgr(logging.CRITICAL),
        silence_logging_cmgr(logging.CRITICAL, root="distributed.client"),
    ):
        yield


def _require_answer(address: str) -> None:
    """Raise ClusterError if no scheduler answers; Dask waits forever for a silent server."""

    async def shake_hands() -> None:
        async with asyncio.timeout(SECONDS_TO_CONNECT):
            secured = Security().get_connection_args("client")
            comm = await connect(address, timeout=SECONDS_PER_ATTEMPT, **secured)
            await comm.close()

    try:
        # In a thread: the caller of the flow may run an event loop.
        with ThreadPoolExecutor(max_workers=1) as pool:
            pool.submit(asyncio.run, shake_hands()).result()
    except Exception as error:  # another kind of server may answer anything
        reason = (
            _first_cause(error) or _refusal(address) or f"no answer within {SECONDS_TO_CONNECT} s"
        )
        raise ClusterError(
            f"--dask {address}: expected a Dask scheduler, got: {reason}; check host and port, and "
            "that the scheduler runs (dask scheduler); one that speaks TLS has an address "
            "tls://..., and its certificates belong in Dask's configuration, distributed.comm.tls"
        ) from error


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def _refusal(address: str) -> str:
    """Return why a plain connection fails, or "".

    Dask reports only its last attempt, which may have timed out.
    """
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=SECONDS_PER_ATTEMPT).close()
    except OSError as error:
        return str(error)
    return ""


def _require_same_environment(client: Client, address: str) -> None:
    here = environment()
    theirs = client.run(environment, on_error="return")
    differing = {
        worker: _differences(here, there) for worker, there in theirs.items() if there != here
    }
    if differing:
        shown = "; ".join(f"{w}: {what}" for w, what in list(differing.items())[:SHOWN])
        raise ClusterError(
            f"--dask {address}: expected workers with the versions of this process, got "
            f"{len(differing)} of {len(theirs)} with others ({shown}); install the same "
            "requirements.lock and the same ScreenBayes there, and start the workers again"
        )


def _differences(here: dict[str, str], there: dict[str, str] | BaseException) -> str:
    if isinstance(there, BaseException):
        return f"no ScreenBayes that can be loaded ({there})"
    return ", ".join(
        f"{name} {there.get(name, 'missing')} (here {version})"
        for name, version in here.items()
        if there.get(name) != version
    )


class DaskWorkers:
    """Executor on the workers of one cluster."""

    def __init__(self, client: Client, where: str) -> None:
        self._client = client
        self._where = where

    def scatter(self, blocks: Sequence[Any]) -> ScatteredBlocks:
        """Send each block to one worker, in turn; raise ClusterError if no worker is left."""
        return _DaskBlocks(self._client, self._where, blocks)


class _DaskBlocks:
    """Blocks on workers. Copies stay here, because Dask cannot restore data of a dead worker."""

    def __init__(self, client: Client, where: str, blocks: Sequence[Any]) -> None:
        self._client = client
        self._where = where
        self._blocks = blocks
        self._sent = [self._send([block])[0] for block in blocks]

    def map[R](self, function: Callable[..., R], *arguments: Any) -> Iterator[R]:
        """Yield `function(block, *arguments)` for every block, in order.

        Raises what `function` raises, and ClusterError if workers die and none can continue.
        """
        shared = self._send(arguments, broadcast=True)

        def submit(index: int) -> Future:
            return self._client.submit(
                on_one_thread, function, self._sent[index], *shared, pure=False
            )

        def submit_again(index: int) -> Future:
            log_info("A Dask worker was lost; its blocks go to another")
            (self._sent[index],) = self._send([self._blocks[index]])
            shared[:] = self._send(arguments, broadcast=True)
            return submit(index)

        # Results wait on the workers: submit only enough to keep these busy.
        ahead = 2 * self._threads()
        running: deque[Future] = deque()
        for index in range(len(self._blocks)):
            while len(running) < min(ahead, len(self._blocks) - index):
                running.append(submit(index + len(running)))
            yield self._result(running.popleft(), partial(submit_again, index))

    def _result(self, future: Future, submit_again: Callable[[], Future]) -> Any:
        losses = 0
        while True:
            try:
                return future.result()
            except KilledWorker as error:
                raise self._deaths() from error
            except CancelledError as error:  # its data were lost with a worker
                losses += 1
                if losses > MAX_LOSSES:
                    raise self._deaths() from error
                future = submit_again()

    def _send(self, values: Sequence[Any], broadcast: bool = False) -> list[Future]:
        """Send each value to one worker, or to all (`broadcast`)."""
        if not values:
            return []
        with self._reachable():
            for _ in range(MAX_LOSSES):
                # A worker may die during a transfer; the next attempt uses another.
                with suppress(CommClosedError):
                    return self._scatter(values, broadcast)
                time.sleep(SECONDS_TO_NOTICE)
            return self._scatter(values, broadcast)

    def _scatter(self, values: Sequence[Any], broadcast: bool) -> list[Future]:
        futures: list[Future] = self._client.scatter(
            list(values), broadcast=broadcast, hash=False, timeout=SECONDS_TO_RESTART
        )
        return futures

    def _threads(self) -> int:
        with self._reachable():
            return max(1, sum(self._client.nthreads().values()))

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        """Raise ClusterError if the scheduler is gone or has no workers left."""
        try:
            yield
        except OSError as error:
            raise ClusterError(
                f"--dask {self._where}: expected a scheduler with workers until the end, got: "
                f"{error}; see their logs ({MEMORY}), start them again and "
                "repeat the fit"
            ) from error

    def _deaths(self) -> ClusterError:
        return ClusterError(
            f"--dask {self._where}: expected workers that finish a block of genes, got "
            f"{MAX_LOSSES + 1} in a row that died at the same one ({MEMORY}); start fewer "
            "workers with more memory each (dask worker --memory-limit) and repeat the fit"
        )

"""Workers of a Dask cluster, reached through Prefect: sent their blocks once, asked many times.

Only plain functions on blocks travel; flow, tasks and progress stay in the process of the flow.
Which cluster, and whether it will do, is said in the words of `tasks.cluster`.
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

from model.exact.workers import Held, Workers, on_one_thread
from schemas.errors import EnvironmentTrouble
from tasks.cluster import LOCAL, environment
from tasks.progress import tell

SECONDS_TO_CONNECT = 5
SECONDS_TO_KNOCK = 3
SECONDS_TO_RESTART = 60
"""How long to wait for workers that a fit had and lost; their keepers start new ones in seconds."""
SECONDS_TO_NOTICE = 0.5
"""How long the scheduler may take to see that a worker has died."""
MOST_LOSSES = 3
"""How often one block may be lost with its worker, as Dask allows a task of its own."""
SHOWN = 3
"""How many of the workers that do not fit are named."""
DEAF_TO_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""For workers of this terminal: the process of the flow hears it too, and stops them."""
MEMORY = "most often the memory was too small"


class ClusterTrouble(EnvironmentTrouble):
    """A Dask cluster does not answer, has no workers or other ones, or has lost them."""


@contextmanager
def local_cluster() -> Iterator[Workers]:
    """Start a worker process a core on this machine; stop them on leaving.

    Each has one thread (Dask holds BLAS to one too) and its share of the memory. Everything speaks
    TLS with certificates of its own: Dask runs what it is sent, and others may be logged in here.
    """
    runner = DaskTaskRunner(
        cluster_kwargs={
            "threads_per_worker": 1,
            "processes": True,
            "host": "127.0.0.1",
            "security": True,
            "dashboard_address": None,
            # What is left of the pages, health and counts, on any free port.
            "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},
            "silence_logs": logging.CRITICAL,
            "preload": [DEAF_TO_CTRL_C],
        }
    )
    with _quiet(), runner:
        yield DaskWorkers(runner.client, LOCAL)


@contextmanager
def existing_cluster(address: str) -> Iterator[Workers]:
    """Connect to the scheduler at `address`; certificates for tls:// are in Dask's configuration.

    Raises ClusterTrouble where nobody answers, no worker is there, or workers run other versions.
    """
    _require_answer(address)
    with _quiet(), DaskTaskRunner(address=address) as runner:
        client = runner.client
        try:
            client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
        except TimeoutError:
            raise ClusterTrouble(
                f"--dask {address}: expected at least one worker, got none within "
                f"{SECONDS_TO_CONNECT} s; start some: dask worker {address} --nthreads 1"
            ) from None
        _require_same_environment(client, address)
        yield DaskWorkers(client, address)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log off the terminal: lost connections are tracebacks there, sentences here."""
    with (
        silence_logging_cmgr(logging.CRITICAL),
        silence_logging_cmgr(logging.CRITICAL, root="distributed.client"),
    ):
        yield


def _require_answer(address: str) -> None:
    """Raise ClusterTrouble where no scheduler answers; Dask waits for ever for a silent server."""

    async def shake_hands() -> None:
        async with asyncio.timeout(SECONDS_TO_CONNECT):
            secured = Security().get_connection_args("client")
            comm = await connect(address, timeout=SECONDS_TO_KNOCK, **secured)
            await comm.close()

    try:
        # In a thread: whoever calls a flow may have an event loop running.
        with ThreadPoolExecutor(max_workers=1) as pool:
            pool.submit(asyncio.run, shake_hands()).result()
    except Exception as error:  # what is not Dask can answer anything
        reason = (
            _first_cause(error) or _refusal(address) or f"no answer within {SECONDS_TO_CONNECT} s"
        )
        raise ClusterTrouble(
            f"--dask {address}: expected a Dask scheduler, got: {reason}; check host and port, and "
            "that the scheduler runs (dask scheduler); one that speaks TLS has an address "
            "tls://..., and its certificates belong in Dask's configuration, distributed.comm.tls"
        ) from error


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def _refusal(address: str) -> str:
    """Return why a plain connection fails, "" where it does not.

    Dask tries for a while and tells of its last try alone, which its own limit may have cut off.
    """
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=SECONDS_TO_KNOCK).close()
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
        raise ClusterTrouble(
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
    """The workers of one cluster."""

    def __init__(self, client: Client, where: str) -> None:
        self._client = client
        self._where = where

    def hold(self, blocks: Sequence[Any]) -> Held:
        """Send the blocks, each to one worker, in turn; raise ClusterTrouble where none is left."""
        return _HeldByDask(self._client, self._where, blocks)


class _HeldByDask:
    """Blocks on workers, and here: Dask cannot make what it was sent again when a worker dies."""

    def __init__(self, client: Client, where: str, blocks: Sequence[Any]) -> None:
        self._client = client
        self._where = where
        self._blocks = blocks
        self._sent = [self._send([block])[0] for block in blocks]

    def map[R](self, function: Callable[..., R], *arguments: Any) -> Iterator[R]:
        """Yield `function(block, *arguments)` of every block, in the order of the blocks.

        Raises what `function` raises, and ClusterTrouble where workers die and none can go on.
        """
        shared = self._send(arguments, broadcast=True)

        def submit(index: int) -> Future:
            return self._client.submit(
                on_one_thread, function, self._sent[index], *shared, pure=False
            )

        def submit_again(index: int) -> Future:
            tell("A Dask worker was lost; what it had goes to another")
            (self._sent[index],) = self._send([self._blocks[index]])
            shared[:] = self._send(arguments, broadcast=True)
            return submit(index)

        # Results wait on the workers: no more of them than keep these busy.
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
            except CancelledError as error:  # nobody else cancels: its data went with a worker
                losses += 1
                if losses > MOST_LOSSES:
                    raise self._deaths() from error
                future = submit_again()

    def _send(self, values: Sequence[Any], broadcast: bool = False) -> list[Future]:
        """Put each value on one worker, or on all; Dask takes the list apart, not the values."""
        if not values:
            return []
        with self._reachable():
            for _ in range(MOST_LOSSES):
                # A worker may die while it is being sent something; the next is sent it instead.
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
        """Say whose fault it is when the scheduler is gone, or has no worker any more."""
        try:
            yield
        except OSError as error:
            raise ClusterTrouble(
                f"--dask {self._where}: expected a scheduler with workers until the end, got: "
                f"{error}; see in their logs why they went ({MEMORY}), start them again and "
                "repeat the fit"
            ) from error

    def _deaths(self) -> ClusterTrouble:
        return ClusterTrouble(
            f"--dask {self._where}: expected workers that finish a block of genes, got "
            f"{MOST_LOSSES + 1} in a row that died at the same one ({MEMORY}); start fewer "
            "workers with more memory each (dask worker --memory-limit) and repeat the fit"
        )

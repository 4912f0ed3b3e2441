"""How a flow shows what it does: on a terminal, and as Prefect progress artifacts and logs.

Tasks and flows `tell` and make `Progress`; who looks on decides where it is shown. A terminal
listens through `listen`; what it draws is `deployments.terminal`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger

from schemas.errors import EnvironmentTrouble, UserError

SECONDS_BETWEEN_UPDATES = 2.0


class Listener(Protocol):
    """Somebody who looks on."""

    def tell(self, text: str) -> None:
        """Take a line of the story."""

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Take how much of a stage is done and, where known, how much there is."""


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Have everything told inside the block told to `listener` too."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(text: str) -> None:
    """Add a line to the story of the run: Prefect's log, and whoever listens."""
    if FlowRunContext.get() is not None:
        get_run_logger().info(text)
    if (listener := _listener.get()) is not None:
        listener.tell(text)


def complain(text: str) -> None:
    """Log what ended the run. Whoever listens is told by the one who called the flow."""
    if FlowRunContext.get() is not None:
        get_run_logger().error(text)


class _InWords(logging.Filter):
    """Leaves the traceback out of the log of a run where the message says what to do.

    And Prefect's last line, which calls any error unexpected. Defects keep all of it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, UserError | EnvironmentTrouble):
            record.exc_info = None
            return not record.getMessage().startswith("Engine execution exited")
        return True


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_InWords())


class Progress:
    """Progress of one stage, from entering the block to leaving it.

    May be called from any thread, as samplers do: what belongs to the task is taken on entering.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._done = 0

    def __enter__(self) -> Self:
        self._listener = _listener.get()
        self._artifact: UUID | None = None
        if TaskRunContext.get() is not None:
            with suppress(httpx.HTTPError):
                artifact = create_progress_artifact(0.0, description=self._stage)
                assert isinstance(artifact, UUID)  # a coroutine in asynchronous code only
                self._artifact = artifact
        self._last_update = time.monotonic()
        return self

    def __call__(self, done: int, total: int | None = None) -> None:
        """Report `done` of `total` (None: not known how much there is)."""
        self._done = done
        if self._listener is not None:
            self._listener.progress(self._stage, done, total)
        if total and time.monotonic() - self._last_update > SECONDS_BETWEEN_UPDATES:
            self._last_update = time.monotonic()
            self._update(100.0 * done / total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self(self._done, self._done)
            self._update(100.0)

    def _update(self, percent: float) -> None:
        # A server that is gone for a while must not cost the work.
        with suppress(httpx.HTTPError):
            if self._artifact is not None:
                update_progress_artifact(self._artifact, percent)

"""Log lines and progress of flows, sent to Prefect and to a listener such as the terminal."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger

from schemas.errors import ExternalServiceError, UserError
from tasks.runtime.listener import current_listener

SECONDS_BETWEEN_UPDATES = 2.0


def in_flow_run() -> bool:
    """Return whether a flow run is under way in this process."""
    return FlowRunContext.get() is not None


def log_info(text: str) -> None:
    """Log a line to Prefect and to the listener."""
    if in_flow_run():
        get_run_logger().info(text)
    if (listener := current_listener()) is not None:
        listener.log_info(text)


def log_error(text: str) -> None:
    """Log to Prefect what ended the run; the caller of the flow reports it to the user."""
    if in_flow_run():
        get_run_logger().error(text)


class _HideTracebacks(logging.Filter):
    """Drops tracebacks of errors whose message has a remedy from the log of a run.

    Drops Prefect's last line too, which calls any error unexpected. Bugs keep both.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, UserError | ExternalServiceError):
            record.exc_info = None
            return not record.getMessage().startswith("Engine execution exited")
        return True


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_HideTracebacks())


class Progress:
    """Progress of one stage, from entering the block to leaving it.

    Callable from any thread, as samplers need: the context of the task is read on entry.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._done = 0

    def __enter__(self) -> Self:
        self._listener = current_listener()
        self._artifact: UUID | None = None
        if TaskRunContext.get() is not None:
            with suppress(httpx.HTTPError):
                artifact = create_progress_artifact(0.0, description=self._stage)
                assert isinstance(artifact, UUID)  # a coroutine in asynchronous code only
                self._artifact = artifact
        self._last_update = time.monotonic()
        return self

    def __call__(self, done: int, total: int | None = None) -> None:
        """Report `done` of `total` (None: unknown)."""
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
        # A server that is briefly unreachable must not end the run.
        with suppress(httpx.HTTPError):
            if self._artifact is not None:
                update_progress_artifact(self._artifact, percent)

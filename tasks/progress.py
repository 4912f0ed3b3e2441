"""How long work shows that it moves: on a terminal, and as Prefect progress artifacts and logs.

A task makes a `Progress` and calls it; who looks on decides where it is shown. The terminal's own
bar is drawn by `deployments.terminal`, which listens through `listen`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

Listener = Callable[[str, int, int | None], None]
"""Called with the stage, how much is done and, where known, how much there is."""

_listener: ContextVar[Listener | None] = ContextVar("progress_listener", default=None)
SECONDS_BETWEEN_UPDATES = 2.0


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Have every `Progress` made inside the block report to `listener` too."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Progress:
    """Progress of one stage; may be called from any thread, as samplers do."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._listener = _listener.get()
        self._in_task = TaskRunContext.get() is not None
        self._logger = get_run_logger() if self._in_task else None
        self._artifact: UUID | None = None
        if self._in_task:
            self._artifact = create_progress_artifact(0.0, description=stage)  # type: ignore[assignment]
        self._last_update = time.monotonic()
        self._last_quarter = 0

    def __call__(self, done: int, total: int | None = None) -> None:
        """Report `done` of `total` (None: not known how much there is)."""
        if self._listener is not None:
            self._listener(self._stage, done, total)
        if total:
            self._log_quarters(done, total)
            finished = done >= total
            if finished or time.monotonic() - self._last_update > SECONDS_BETWEEN_UPDATES:
                self._last_update = time.monotonic()
                if self._artifact is not None:
                    update_progress_artifact(self._artifact, 100.0 * done / total)

    def _log_quarters(self, done: int, total: int) -> None:
        quarter = 4 * done // total
        if quarter > self._last_quarter and self._logger is not None:
            self._logger.info("%s: %d %% (%s of %s)", self._stage, 25 * quarter, done, total)
        self._last_quarter = max(quarter, self._last_quarter)

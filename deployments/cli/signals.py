"""Signal handling of commands: SIGTERM and SIGHUP end a command in the same way as Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

from deployments.cli.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED

_CODES = {
    signal.SIGINT: INTERRUPTED,
    signal.SIGTERM: TERMINATED,
    signal.SIGHUP: HUNG_UP,
}
SECONDS_TO_CLOSE = 5.0
"""Further signals within this time are ignored, so that cleanup can finish."""
SECONDS_UNTIL_RAISED_AGAIN = 0.05
"""Delay before a KeyboardInterrupt that Python discarded is raised again."""


@dataclass
class ReceivedSignal:
    """The signal that was received, if any."""

    sign: signal.Signals | None = None

    @property
    def code(self) -> int:
        """Exit code of the signal."""
        return _CODES[self.sign or signal.SIGINT]


@contextmanager
def signals_as_interrupts(*, even_ignored: bool = False) -> Iterator[ReceivedSignal]:
    """Raise KeyboardInterrupt in the block on SIGINT, SIGTERM and SIGHUP.

    Signals that are ignored on entry, as under nohup, stay ignored unless `even_ignored`.

    Python discards a KeyboardInterrupt raised in `__del__`, and Cython one in a function declared
    to raise nothing (SciPy's Sobol numbers). It is raised again shortly after, without a traceback.
    """
    received = ReceivedSignal()
    last = -SECONDS_TO_CLOSE
    ours = os.getpid()

    def stop(number: int, _: object) -> None:
        nonlocal last
        if os.getpid() != ours and number != signal.SIGINT:  # a fork of a sampler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if time.monotonic() - last < SECONDS_TO_CLOSE:
            return
        last = time.monotonic()
        received.sign = signal.Signals(number)
        if number == signal.SIGHUP:
            discard_output()
        raise KeyboardInterrupt

    def on_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
        nonlocal last
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)
            return
        last = -SECONDS_TO_CLOSE
        sign = received.sign or signal.SIGINT
        threading.Timer(SECONDS_UNTIL_RAISED_AGAIN, os.kill, (os.getpid(), sign)).start()

    def on_exception(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            show(kind, error, traceback)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {
        sign: signal.signal(sign, stop)
        for sign in _CODES
        if even_ignored or signal.getsignal(sign) is not signal.SIG_IGN
    }
    hook, sys.unraisablehook = sys.unraisablehook, on_unraisable
    show, sys.excepthook = sys.excepthook, on_exception
    try:
        yield received
    finally:
        sys.unraisablehook = hook
        sys.excepthook = show
        for sign, handler in before.items():
            signal.signal(sign, handler)


def discard_output() -> None:
    """Send stdout and stderr to /dev/null, since the terminal or pipe is gone."""
    _redirect_to_null(sys.stdout, sys.stderr)


def discard_unwritten_output() -> None:
    """Discard buffered output that cannot be written, for example to a full disk.

    Otherwise Python retries at exit, prints its own error and exits with 120.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _redirect_to_null(sys.stdout)


def _redirect_to_null(*streams: TextIO | None) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

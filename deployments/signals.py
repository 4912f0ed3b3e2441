"""What Ctrl-C, a request to terminate and the closing of the terminal do to a command of ours.

All three end it as Ctrl-C does: what it has begun is closed, and it says so.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

from deployments.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED

_CODES = {
    signal.SIGINT: INTERRUPTED,
    signal.SIGTERM: TERMINATED,
    signal.SIGHUP: HUNG_UP,
}
SECONDS_TO_CLOSE = 5.0
"""So long after the first a further Ctrl-C is not heard: it would leave half closed what is being
closed."""
SECONDS_UNTIL_RAISED_AGAIN = 0.05
"""An interrupt that was lost is raised again after so long: what loses it is over then."""
_at_signals: list[Callable[[], None]] = []


@dataclass
class Heard:
    """Which of the signals came."""

    sign: signal.Signals | None = None

    @property
    def code(self) -> int:
        """The exit code it asks for."""
        return _CODES[self.sign or signal.SIGINT]


@contextmanager
def heard_like_interrupts(*, even_ignored: bool = False) -> Iterator[Heard]:
    """Raise KeyboardInterrupt in the block on each of the signals.

    What the shell has us ignore, as by nohup, stays ignored, unless asked for.

    Python loses one that is raised where an object is deleted, and Cython one in a function that
    raises nothing, as where SciPy reads its Sobol numbers, with a traceback and no more: it is
    raised again outside, and the traceback is not shown.
    """
    heard = Heard()
    last = -SECONDS_TO_CLOSE
    ours = os.getpid()

    def stop(number: int, _: object) -> None:
        nonlocal last
        if os.getpid() != ours and number != signal.SIGINT:  # a fork, as samplers make them
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if time.monotonic() - last < SECONDS_TO_CLOSE:
            return
        last = time.monotonic()
        heard.sign = signal.Signals(number)
        if number == signal.SIGHUP:
            forget_terminal()
        for act in _at_signals:
            act()
        raise KeyboardInterrupt

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        nonlocal last
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)
            return
        last = -SECONDS_TO_CLOSE
        sign = heard.sign or signal.SIGINT
        threading.Timer(SECONDS_UNTIL_RAISED_AGAIN, os.kill, (os.getpid(), sign)).start()

    def shown(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            show(kind, error, traceback)

    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    before = {
        sign: signal.signal(sign, stop)
        for sign in _CODES
        if even_ignored or signal.getsignal(sign) is not signal.SIG_IGN
    }
    hook, sys.unraisablehook = sys.unraisablehook, lost
    show, sys.excepthook = sys.excepthook, shown
    try:
        yield heard
    finally:
        sys.unraisablehook = hook
        sys.excepthook = show
        for sign, handler in before.items():
            signal.signal(sign, handler)


@contextmanager
def at_signals(act: Callable[[], None]) -> Iterator[None]:
    """Have this done, in the block, as soon as one of the signals is heard."""
    _at_signals.append(act)
    try:
        yield
    finally:
        _at_signals.remove(act)


def forget_terminal() -> None:
    """Write to nowhere what would be written to a terminal or a pipe that is gone."""
    _to_nowhere(sys.stdout, sys.stderr)


def forget_unprinted() -> None:
    """Give up what stdout still holds and cannot write, as on a full disk.

    Python would try once more at its very end, complain in its own words, and exit with 120.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _to_nowhere(sys.stdout)


def _to_nowhere(*streams: TextIO | None) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

"""Signals that end a command as Ctrl-C does."""

from __future__ import annotations

import os
import signal

import pytest

from deployments.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED
from deployments.signals import heard_like_interrupts


@pytest.mark.parametrize(
    ("sign", "code"),
    [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)],
)
def test_a_signal_is_heard_once_and_its_code_kept(sign, code) -> None:
    # Tests that run in the background are started with Ctrl-C ignored.
    before = signal.signal(sign, signal.default_int_handler)
    try:
        with heard_like_interrupts() as heard:
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), sign)
            os.kill(os.getpid(), sign)  # again, while things are closed
            assert heard.code == code
        assert signal.getsignal(sign) is signal.default_int_handler
    finally:
        signal.signal(sign, before)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    try:
        with heard_like_interrupts() as heard:
            os.kill(os.getpid(), signal.SIGHUP)
            assert heard.code not in (HUNG_UP,)
    finally:
        signal.signal(signal.SIGHUP, before)

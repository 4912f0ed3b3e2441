"""Ctrl-C, termination and a closed terminal end a command, once and without a traceback."""

import os
import signal
import time

import pytest

from deployments.cli.app import app, main
from deployments.cli.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED
from deployments.cli.signals import signals_as_interrupts
from schemas.errors import UserError


def stop(sign: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), sign)
    time.sleep(0)


@pytest.mark.parametrize(
    ("sign", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
)
def test_a_signal_is_heard_once_and_its_code_kept(sign, code):
    before = signal.signal(sign, signal.default_int_handler)
    try:
        with signals_as_interrupts() as received:
            with pytest.raises(KeyboardInterrupt):
                stop(sign)
            stop(sign)  # again, while things are closed
            assert received.code == code
        assert signal.getsignal(sign) is signal.default_int_handler
    finally:
        signal.signal(sign, before)


def test_a_signal_that_python_loses_is_heard_all_the_same(capsys):
    class Deleted:
        def __del__(self) -> None:
            stop()

    with signals_as_interrupts() as received:
        with pytest.raises(KeyboardInterrupt):
            Deleted()
            time.sleep(10)
        assert received.code == TERMINATED
    assert not capsys.readouterr().err


def test_a_signal_that_is_ignored_stays_ignored_unless_asked_for():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    try:
        with signals_as_interrupts() as received:
            stop(signal.SIGHUP)
            assert received.code != HUNG_UP
        with signals_as_interrupts(even_ignored=True) as received, pytest.raises(KeyboardInterrupt):
            stop(signal.SIGHUP)
        assert received.code == HUNG_UP
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("becomes", [None, UserError("no table")])
def test_a_command_says_it_was_terminated_whatever_libraries_make_of_it(capsys, becomes):
    @app.command
    def waiting() -> int:
        try:
            stop()
        except KeyboardInterrupt:
            raise becomes or KeyboardInterrupt from None
        raise AssertionError("the signal is received before the next step")

    try:
        assert main(["waiting"]) == TERMINATED
    finally:
        del app["waiting"]
    assert "screenbayes: interrupted" in capsys.readouterr().err

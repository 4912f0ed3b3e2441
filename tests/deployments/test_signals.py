"""Ctrl-C, termination and a closed terminal end a command, once and without a traceback."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from deployments.command_line import app, main
from deployments.environment import embedded_server_may_die
from deployments.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED
from deployments.signals import heard_like_interrupts
from schemas.errors import UserError


def stop(sign: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), sign)
    time.sleep(0)


@pytest.mark.parametrize(
    ("sign", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
)
def test_a_signal_is_heard_once_and_its_code_kept(sign, code):
    # Tests that run in the background are started with Ctrl-C ignored.
    before = signal.signal(sign, signal.default_int_handler)
    try:
        with heard_like_interrupts() as heard:
            with pytest.raises(KeyboardInterrupt):
                stop(sign)
            stop(sign)  # again, while things are closed
            assert heard.code == code
        assert signal.getsignal(sign) is signal.default_int_handler
    finally:
        signal.signal(sign, before)


def test_a_signal_that_python_loses_is_heard_all_the_same(capsys):
    class Deleted:
        def __del__(self) -> None:
            stop()

    with heard_like_interrupts() as heard:
        with pytest.raises(KeyboardInterrupt):
            Deleted()
            time.sleep(10)
        assert heard.code == TERMINATED
    assert not capsys.readouterr().err


def test_a_signal_that_cython_loses_is_heard_without_a_traceback():
    # A process of its own: SciPy reads its Sobol numbers once.
    script = """
        import os, signal, time
        import numpy as np
        from scipy.stats import qmc
        from deployments.signals import heard_like_interrupts

        def interrupted(*_, **__):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)

        np.load = interrupted
        with heard_like_interrupts() as heard:
            try:
                qmc.Sobol(2)
                time.sleep(10)
            except KeyboardInterrupt:
                print(heard.code)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{TERMINATED}\n", "")


def test_an_embedded_prefect_server_is_asked_again_until_a_signal():
    def retries_in_a_thread() -> int:
        context, seen = contextvars.copy_context(), []
        thread = threading.Thread(
            target=lambda: seen.append(context.run(PREFECT_CLIENT_MAX_RETRIES.value))
        )
        thread.start()
        thread.join()
        return seen[0]

    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 2}, restore_defaults={PREFECT_API_URL}),
        heard_like_interrupts(),
    ):
        with embedded_server_may_die():
            assert retries_in_a_thread() == 2
            with pytest.raises(KeyboardInterrupt):
                stop()
            assert retries_in_a_thread() == 0
        assert retries_in_a_thread() == 2


def test_a_signal_that_is_ignored_stays_ignored_unless_asked_for():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    try:
        with heard_like_interrupts() as heard:
            stop(signal.SIGHUP)
            assert heard.code != HUNG_UP
        with heard_like_interrupts(even_ignored=True) as heard, pytest.raises(KeyboardInterrupt):
            stop(signal.SIGHUP)
        assert heard.code == HUNG_UP
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("becomes", [None, ValueError("of a library"), UserError("no table")])
def test_a_command_says_it_was_terminated_whatever_libraries_make_of_it(capsys, becomes):
    @app.command
    def waiting() -> int:
        try:
            stop()
        except KeyboardInterrupt:
            raise becomes or KeyboardInterrupt from None
        raise AssertionError("the signal is heard before the next step")

    try:
        assert main(["waiting"]) == TERMINATED
    finally:
        del app["waiting"]
    assert "screenbayes: interrupted" in capsys.readouterr().err

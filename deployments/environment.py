"""The environment: settings of the libraries before they are imported, and every variable we read.

No settings of a fit.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from deployments.prefect_ready import require_prefect
from deployments.signals import at_signals

_ALWAYS = {
    # Library telemetry is off in everything ScreenBayes starts.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_UNLESS_SET = {
    # The embedded server takes up to a minute to start on a busy machine; Prefect waits 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    # The command line tells the story itself; Prefect's own log still reaches a server.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    # A server that does not answer is reported within seconds, not minutes.
    "PREFECT_CLIENT_MAX_RETRIES": "2",
}


VARIABLES = {
    "MLFLOW_TRACKING_URI": "Where fits are kept: the address of an MLflow server or a database. "
    "Without it `mlflow.db` and `mlruns/` of the working folder.",
    "PREFECT_API_URL": "Prefect server that flows report to, as `http://HOST:4200/api`. Without it "
    "a flow runs on a server of its own, which ends with it.",
    "AWS_ACCESS_KEY_ID": "Key of the bucket, for `s3://` addresses.",
    "AWS_SECRET_ACCESS_KEY": "Its secret.",
    "AWS_SESSION_TOKEN": "Token of keys that expire.",
    "AWS_DEFAULT_REGION": "Region of the bucket, where its store has several.",
    "AWS_ENDPOINT_URL": "Address of the store, where it is not Amazon's.",
    "AWS_CA_BUNDLE": "File of the certificates to trust, where the store has one of its own.",
    "SCREENBAYES_PREFIX": "Folder or `s3://` address in which releases land. Read by `screenbayes "
    "deploy`, as are the next four; without it there is no schedule.",
    "SCREENBAYES_MODEL": "What these releases are fitted with: `m4` (default), `m4_zero_mean` or "
    "`m4_nested`, the one for real screens.",
    "SCREENBAYES_REFRESH_CRON": "When to look for releases, cron, UTC; `0 3 * * *`.",
    "SCREENBAYES_SETTLE_SECONDS": "A release is fitted once nothing of it has changed for so long; "
    "300.",
    "SCREENBAYES_FITS_AT_ONCE": "Fits of different datasets side by side; 2.",
    "SCREENBAYES_MLFLOW_UI": "Address of MLflow as browsers see it, for links, where that is not "
    "`MLFLOW_TRACKING_URI`.",
    "SCREENBAYES_WORK": "Folder in which a worker starts its flows.",
}
"""What ScreenBayes itself looks at. Servers have more: docs/production.md."""


def prepare_environment() -> None:
    """Set the environment of this process; call before Prefect or MLflow is imported."""
    os.environ.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)
    # What Prefect cannot log to a server that is away for a moment is not for who typed a command.
    logging.raiseExceptions = False


@contextmanager
def embedded_server_may_die() -> Iterator[None]:
    """Let Ctrl-C end a flow at once where Prefect's server is embedded.

    The embedded server gets the Ctrl-C of the terminal too and is gone first; Prefect would spend
    half a minute trying to reach it, and fill the screen with what it could not tell it. Until
    then it is asked again as any other: where two of its own writes meet in SQLite, it answers
    "503 Service Unavailable" and counts on that.

    Raises PrefectTrouble where Prefect cannot be used in the first place.
    """
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    require_prefect()
    if PREFECT_API_URL.value() is not None:
        yield
        return
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}) as settings:

        def give_up() -> None:
            # A setting of a block cannot be replaced from a signal, which is of no block.
            settings.client.max_retries = 0

        with at_signals(give_up):
            yield

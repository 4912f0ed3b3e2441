"""Settings of the libraries that have to stand before they are imported. No settings of a fit."""

from __future__ import annotations

import os

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
    # A server that does not answer is reported within seconds, not minutes.
    "PREFECT_CLIENT_MAX_RETRIES": "2",
}


def prepare_environment() -> None:
    """Set the environment of this process; call before Prefect or MLflow is imported."""
    os.environ.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)

"""Environment variables: settings of libraries, set before import, and the variables we read."""

from __future__ import annotations

import logging
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
    # The command line prints its own log; Prefect's log still reaches a server.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    # A server that does not answer is reported within seconds, not minutes.
    "PREFECT_CLIENT_MAX_RETRIES": "2",
}


VARIABLES = {
    "MLFLOW_TRACKING_URI": "Store of fits: the address of an MLflow server or a database. Default: "
    "the nearest `mlflow.db` in the working folder or above it, else a new one there; files are in "
    "`mlruns/` beside it.",
    "PREFECT_API_URL": "Prefect server that flows report to, such as `http://HOST:4200/api`. "
    "Default: an embedded server for each command.",
    "AWS_ACCESS_KEY_ID": "Access key for `s3://` addresses.",
    "AWS_SECRET_ACCESS_KEY": "Secret of the access key.",
    "AWS_SESSION_TOKEN": "Token of temporary keys.",
    "AWS_DEFAULT_REGION": "Region of the bucket.",
    "AWS_ENDPOINT_URL": "Endpoint of an S3-compatible store other than Amazon's.",
    "AWS_CA_BUNDLE": "File of certificates to trust, for a store with its own.",
    "SCREENBAYES_PREFIX": "Folder or `s3://` address of new releases. Read by `screenbayes "
    "deploy`, as are the next four; without it there is no schedule.",
    "SCREENBAYES_MODEL": "Model for these releases: `m4_screen` (default), `m4`, `m4_zero_mean` or "
    "`m4_nested`.",
    "SCREENBAYES_REFRESH_CRON": "When to look for releases, as cron in UTC. Default: `0 3 * * *`.",
    "SCREENBAYES_SETTLE_SECONDS": "Seconds without changes before a release is fitted. Default: "
    "300.",
    "SCREENBAYES_FITS_AT_ONCE": "Number of concurrent fits of different datasets. Default: 2.",
    "SCREENBAYES_MLFLOW_UI": "Address of MLflow for links in browsers, if it differs from "
    "`MLFLOW_TRACKING_URI`.",
    "SCREENBAYES_WORK": "Folder in which a worker starts flows.",
}
"""Variables that ScreenBayes reads. For those of servers, see docs/production.md."""


def prepare_environment() -> None:
    """Set the environment of this process; call before importing Prefect or MLflow."""
    os.environ.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)
    # Hide errors of Prefect's log handler when a server is briefly unreachable.
    logging.raiseExceptions = False

"""Converts errors of MLflow to messages with a remedy. No calls to MLflow.

Errors are identified by their text: servers forward errors of their database and disk as text.
"""

from __future__ import annotations

import re

from schemas.errors import describe_os_error, operating_system_error

_ELSEWHERE = "or set MLFLOW_TRACKING_URI to another store"
_CORRECT = "correct MLFLOW_TRACKING_URI, or unset it to keep runs in ./mlflow.db"
_NO_MLFLOW = f"the server there is not an MLflow server; {_CORRECT}"
_DAMAGED = "its file is damaged; restore it from a backup, or move it away to create a new one"
_REFUSED = (
    "it does not let this user in; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN, or correct MLFLOW_TRACKING_URI"
)

_REMEDIES = (
    (r"API request .* failed with error code 40[13] ", _REFUSED),
    (
        r"not in a valid JSON format|failed with error code 404 |INTERNAL_ERROR: Response: ",
        _NO_MLFLOW,
    ),
    (
        r"API request .* failed with exception",
        f"it no longer answers; start it, {_ELSEWHERE}",
    ),
    (
        r"database is locked",
        f"another process has locked it; wait for it or end it, {_ELSEWHERE}",
    ),
    (r"file is not a database|disk image is malformed|disk I/O error", _DAMAGED),
    (r"database or disk is full|No space left on device", f"make room on its disk, {_ELSEWHERE}"),
    (
        r"readonly database|unable to open database file|Read-only file system|Permission denied",
        f"it may not be written to; correct its permissions, {_ELSEWHERE}",
    ),
    (
        r"out-of-date database schema",  # also for later versions
        "another version of MLflow created it; back it up, then run `mlflow db upgrade` with its "
        "address; if that does not know its version, install the later MLflow that does; "
        f"{_ELSEWHERE}",
    ),
    (
        r"must be in the 'active' state|is in deleted state|in the deleted state",
        "the run was deleted while in use; fit again, or run `mlflow runs restore`",
    ),
)


def describe_mlflow_error(error: BaseException, *, at_server: bool) -> str:
    """Return error and remedy as one line; `at_server`: a server holds the store."""
    if (refused := operating_system_error(error)) is not None:
        return f"{describe_os_error(refused)}, {_ELSEWHERE}"
    # SQLAlchemy appends the statement with all values.
    what = " ".join(re.sub(r"\s*\[SQL:.*", "", str(error), flags=re.DOTALL).split())
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, what):
            return f"{what[:300]}; {remedy}"
    check = "check the log of the server and the space on its disk" if at_server else "check it"
    return f"{what}; {check}, {_ELSEWHERE}"

"""What MLflow raises, in words: what happened, and what to do. No calls to MLflow.

Its errors are told apart by their text: a server hands on those of its database and its disk as
text, and MLflow's own client says in text what it was that answered.
"""

from __future__ import annotations

import re

from schemas.errors import refused_by_the_machine, told

_ELSEWHERE = "or set MLFLOW_TRACKING_URI to another store"
_CORRECT = "correct MLFLOW_TRACKING_URI, or unset it to keep runs in ./mlflow.db"
_NO_MLFLOW = f"what answers there is no MLflow server; {_CORRECT}"
_DAMAGED = "its file is damaged; put it back from a backup, or move it away, and a new one is made"
_REFUSED = (
    "it does not let this user in; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN, or correct MLFLOW_TRACKING_URI"
)

_MENDS = (
    (r"API request .* failed with error code 40[13] ", _REFUSED),
    (
        r"not in a valid JSON format|failed with error code 404 |INTERNAL_ERROR: Response: ",
        _NO_MLFLOW,
    ),
    (
        r"API request .* failed with exception",
        f"it does not answer any more; start it, {_ELSEWHERE}",
    ),
    (
        r"database is locked",
        f"another process is using it for long; wait for it or end it, {_ELSEWHERE}",
    ),
    (r"file is not a database|disk image is malformed|disk I/O error", _DAMAGED),
    (r"database or disk is full|No space left on device", f"make room on its disk, {_ELSEWHERE}"),
    (
        r"readonly database|unable to open database file|Read-only file system|Permission denied",
        f"it may not be written to; correct its permissions, {_ELSEWHERE}",
    ),
    (
        r"out-of-date database schema",  # said of a later one too
        "it is a store of another version of MLflow; make a backup of it, then run `mlflow db "
        "upgrade` with its address; where that does not know its version, it is of a later MLflow, "
        f"and wants that one; {_ELSEWHERE}",
    ),
    (
        r"must be in the 'active' state|is in deleted state|in the deleted state",
        "the run was deleted while it was filled; fit again, or run `mlflow runs restore`",
    ),
)


def in_words(error: BaseException, *, at_server: bool) -> str:
    """Say in a line what MLflow met, and what to do; `at_server`: its store is somewhere else."""
    if (refused := refused_by_the_machine(error)) is not None:
        return f"{told(refused)}, {_ELSEWHERE}"
    # What follows the first words of SQLAlchemy is the statement, with all that was to be stored.
    what = " ".join(re.sub(r"\s*\[SQL:.*", "", str(error), flags=re.DOTALL).split())
    for pattern, mend in _MENDS:
        if re.search(pattern, what):
            return f"{what[:300]}; {mend}"
    look = "look at the log of the server and the space on its disk" if at_server else "look at it"
    return f"{what}; {look}, {_ELSEWHERE}"

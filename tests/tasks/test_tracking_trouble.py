"""What is told of MLflow's errors."""

from __future__ import annotations

import pytest

from tasks.tracking_trouble import in_words

LOCKED = "(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO a]\n[parameters: (1,)]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LOCKED, "database is locked; another process is using it"),
        ("(sqlite3.DatabaseError) file is not a database", "put it back from a backup"),
        ("(sqlite3.OperationalError) database or disk is full", "make room on its disk"),
        ("attempt to write a readonly database", "may not be written to"),
        ("Detected out-of-date database schema (found", "mlflow db upgrade"),
        ("The run X must be in the 'active' state. Current state is deleted.", "was deleted"),
        (
            "API request to endpoint /a failed with error code 403 != 200. Response body: 'no'",
            "MLFLOW_TRACKING_TOKEN",
        ),
        (
            "API request to endpoint was successful but the response body was not in a valid JSON "
            "format. Response body: '<html>'",
            "is no MLflow server",
        ),
        (
            "API request to http://a failed with exception HTTPConnectionPool(host='a'): Max "
            "retries exceeded",
            "does not answer any more",
        ),
        ("INTERNAL_ERROR: Response: {'detail': 'Not Found'}", "is no MLflow server"),
        ("something else", "something else; look at the log of the server"),
    ],
)
def test_errors_are_told_with_the_mend(text: str, expected: str) -> None:
    said = in_words(ValueError(text), at_server=True)
    assert expected in said
    assert "[SQL" not in said


def test_the_disk_behind_an_error_is_told() -> None:
    try:
        try:
            raise OSError(28, "No space left on device", "/full/posterior.nc")
        except OSError as full:
            raise ValueError("Failed to download artifacts") from full
    except ValueError as error:
        said = in_words(error, at_server=False)
    assert said.startswith("/full/posterior.nc: No space left on device; make room there")

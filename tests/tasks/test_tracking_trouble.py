"""Errors of MLflow and its database become a line with what to do."""

from __future__ import annotations

import pytest

from tasks.tracking_trouble import in_words

LOCKED = "(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO a]\n[parameters: (1,)]"
REQUEST = "API request to endpoint /a "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LOCKED, "database is locked; another process is using it"),
        ("(sqlite3.DatabaseError) file is not a database", "put it back from a backup"),
        ("(sqlite3.OperationalError) database or disk is full", "make room on its disk"),
        ("attempt to write a readonly database", "may not be written to"),
        ("Detected out-of-date database schema (found", "mlflow db upgrade"),
        ("The run X must be in the 'active' state. Current state is deleted.", "was deleted"),
        (f"{REQUEST}failed with error code 403 != 200.", "MLFLOW_TRACKING_TOKEN"),
        (f"{REQUEST}was successful but not in a valid JSON format.", "is no MLflow server"),
        (f"{REQUEST}failed with exception Max retries exceeded", "does not answer any more"),
        ("INTERNAL_ERROR: Response: {'detail': 'Not Found'}", "is no MLflow server"),
        ("something else", "something else; look at the log of the server"),
    ],
)
def test_an_error_comes_with_what_to_do(text: str, expected: str) -> None:
    words = in_words(ValueError(text), at_server=True)
    assert expected in words and "[SQL" not in words


def test_the_disk_behind_an_error_is_named() -> None:
    error = ValueError("Failed to download artifacts")
    error.__cause__ = OSError(28, "No space left on device", "/full/posterior.nc")
    words = in_words(error, at_server=False)
    assert words.startswith("/full/posterior.nc: No space left on device; make room there")

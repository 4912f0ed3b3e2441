"""Errors of MLflow and its database become a line with what to do."""

from __future__ import annotations

import pytest

from tasks.tracking_trouble import in_words

LOCKED = "(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO a]\n[parameters: (1,)]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LOCKED, "database is locked; another process is using it"),
        ("(sqlite3.OperationalError) database or disk is full", "make room on its disk"),
        ("attempt to write a readonly database", "may not be written to"),
        ("The run X must be in the 'active' state. Current state is deleted.", "was deleted"),
        ("API request to /a failed with exception Max retries", "does not answer any more"),
        ("INTERNAL_ERROR: Response: {'detail': 'Not Found'}", "is no MLflow server"),
        ("something else", "something else; look at the log of the server"),
    ],
)
def test_an_error_comes_with_what_to_do(text: str, expected: str):
    words = in_words(ValueError(text), at_server=True)
    assert expected in words and "[SQL" not in words


def test_the_disk_behind_an_error_is_named():
    error = ValueError("Failed to download artifacts")
    error.__cause__ = OSError(28, "No space left on device", "/full/posterior.nc")
    words = in_words(error, at_server=False)
    assert words.startswith("/full/posterior.nc: No space left on device; make room there")

"""What is asked of Prefect before a flow is begun."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)

from deployments.prefect_ready import PrefectTrouble, require_prefect
from tests.faults.fake_servers import LOGIN_PAGE, answering


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, LOGIN_PAGE, "no Prefect server"),
        (200, '"something"', "no Prefect server"),
        (404, "Not Found", "no Prefect server"),
        (401, "{}", "PREFECT_API_AUTH_STRING"),
        (500, "oops", "HTTP 500"),
    ],
)
def test_servers_that_are_none_of_prefect(status: int, body: str, expected: str) -> None:
    with (
        answering(status, body) as address,
        temporary_settings({PREFECT_API_URL: f"{address}/api"}),
        pytest.raises(PrefectTrouble, match=expected) as error,
    ):
        require_prefect()
    assert address in str(error.value)
    assert "PREFECT_API_URL" in str(error.value)


def at_home(home: Path):
    # The server that the tests of this process share has set both.
    elsewhere = {PREFECT_API_URL, PREFECT_API_DATABASE_CONNECTION_URL}
    return temporary_settings({PREFECT_HOME: str(home)}, restore_defaults=elsewhere)


def test_a_home_that_is_sound_or_new(tmp_path: Path) -> None:
    home = tmp_path / "new"
    with at_home(home):
        require_prefect()
        assert list(home.iterdir()) == []
        sqlite3.connect(home / "prefect.db").execute("CREATE TABLE a (b)")
        require_prefect()


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with at_home(tmp_path / "file"), pytest.raises(PrefectTrouble, match="PREFECT_HOME"):
        require_prefect()


def test_a_damaged_database(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_bytes(b"not a database\n" * 1000)
    with at_home(tmp_path), pytest.raises(PrefectTrouble, match=r"prefect\.db.*not a database"):
        require_prefect()

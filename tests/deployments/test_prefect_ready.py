"""Prefect is asked before a flow begins: its server, or the home of the embedded one."""

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
def test_a_server_that_is_no_prefect_server_is_refused(status, body, expected) -> None:
    with (
        answering(status, body) as address,
        temporary_settings({PREFECT_API_URL: f"{address}/api"}),
        pytest.raises(PrefectTrouble, match=expected) as error,
    ):
        require_prefect()
    assert address in str(error.value) and "PREFECT_API_URL" in str(error.value)


def at_home(home: Path):
    # The server that the tests of this process share has set both.
    elsewhere = {PREFECT_API_URL, PREFECT_API_DATABASE_CONNECTION_URL}
    return temporary_settings({PREFECT_HOME: str(home)}, restore_defaults=elsewhere)


def test_a_home_is_used_where_it_is_sound_or_new_and_refused_where_it_is_not(tmp_path) -> None:
    home = tmp_path / "new"
    with at_home(home):
        require_prefect()
        assert list(home.iterdir()) == []
        sqlite3.connect(home / "prefect.db").execute("CREATE TABLE a (b)")
        require_prefect()
        (home / "prefect.db").write_bytes(b"not a database\n" * 1000)
        with pytest.raises(PrefectTrouble, match=r"prefect\.db.*not a database"):
            require_prefect()
    with at_home(home / "prefect.db"), pytest.raises(PrefectTrouble, match="PREFECT_HOME"):
        require_prefect()

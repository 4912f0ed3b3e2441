"""Checks before a flow starts that Prefect can be used: its server, or the embedded one.

Prefect itself waits minutes for a silent server, and restarts its embedded server forever if that
cannot open its database.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from schemas.errors import ExternalServiceError, describe_os_error

SERVER_PATIENCE = 5.0
"""Seconds to wait for a connection to the server, and for its answer, in each of three requests."""
DATABASE_PATIENCE = 10.0
"""Seconds to wait for a locked database."""
LEAST_ROOM = 5_000_000
"""Bytes that the database of the embedded server and its journal need."""


class PrefectUnavailable(ExternalServiceError):
    """Prefect cannot be used."""


def require_prefect() -> None:
    """Raise PrefectUnavailable if no flow can start."""
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url is not None:
        _require_server(settings.api.url)
        return
    url = settings.server.database.connection_url
    database = url.get_secret_value().partition(":///")[2] if url else ""
    _require_home(settings.home, Path(database))


def _require_server(address: str) -> None:
    import httpx
    from prefect.client.orchestration import get_client

    correct = "correct PREFECT_API_URL, or unset it to run without a server"
    try:
        with get_client(httpx_settings={"timeout": SERVER_PATIENCE}, sync_client=True) as client:
            known = client.request("GET", "/health").json() is True
            client.api_version()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise PrefectUnavailable(
                f"Prefect at {address} does not let this user in (HTTP {status}); set "
                f"PREFECT_API_AUTH_STRING or PREFECT_API_KEY, {correct}"
            ) from None
        if status >= 500:
            raise PrefectUnavailable(
                f"Prefect at {address} answers HTTP {status}; see its log, {correct}"
            ) from None
        known = False
    except httpx.HTTPError as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise PrefectUnavailable(
            f"Prefect at {address} does not answer ({what}); start it, {correct}"
        ) from None
    except ValueError:  # no JSON
        known = False
    if not known:
        raise PrefectUnavailable(f"the server at {address} is not a Prefect server; {correct}")


def _require_home(home: Path, database: Path) -> None:
    from tasks.runtime.files import require_room

    elsewhere = "or set PREFECT_HOME to another folder, or PREFECT_API_URL to a server"
    try:
        home.mkdir(parents=True, exist_ok=True)
        require_room(home, LEAST_ROOM)
        probe = home / ".screenbayes"
        probe.touch()
        probe.unlink()
        if database.is_file():
            with closing(sqlite3.connect(database, DATABASE_PATIENCE)) as records:
                records.execute("BEGIN IMMEDIATE")
                records.execute("PRAGMA schema_version")
                records.rollback()
    except OSError as error:
        raise PrefectUnavailable(
            f"Prefect, the embedded server, keeps its records in {home}: "
            f"{describe_os_error(error)}, {elsewhere}"
        ) from None
    except sqlite3.DatabaseError as error:
        raise PrefectUnavailable(
            f"Prefect, the embedded server, cannot use {database} ({error}); end the process that "
            f"holds it, or move it away if it is damaged, {elsewhere}"
        ) from None

"""Whether Prefect can be used, asked before a flow is begun: its server, or the home of our own.

Prefect itself takes minutes to give up a server that does not answer, and starts its embedded
server for ever anew where that cannot open its database.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from schemas.errors import EnvironmentTrouble, told

SERVER_PATIENCE = 5.0
"""Seconds to wait for a connection to the server, and again for its answer; asked three times."""
DATABASE_PATIENCE = 10.0
"""Seconds to wait for a database that another process has locked."""
LEAST_ROOM = 5_000_000
"""Bytes that the database of the embedded server and its journal want."""


class PrefectTrouble(EnvironmentTrouble):
    """Prefect cannot be used: says which, what happened, what to do."""


def require_prefect() -> None:
    """Raise PrefectTrouble where no flow can be begun."""
    from prefect.settings import (
        PREFECT_API_DATABASE_CONNECTION_URL,
        PREFECT_API_URL,
        PREFECT_HOME,
    )

    address = PREFECT_API_URL.value()
    if address is not None:
        _require_server(address)
        return
    url = PREFECT_API_DATABASE_CONNECTION_URL.value() or ""
    _require_home(Path(PREFECT_HOME.value()), Path(url.partition(":///")[2]))


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
            raise PrefectTrouble(
                f"Prefect at {address} does not let this user in (HTTP {status}); set "
                f"PREFECT_API_AUTH_STRING or PREFECT_API_KEY, {correct}"
            ) from None
        if status >= 500:
            raise PrefectTrouble(
                f"Prefect at {address} answers HTTP {status}; look at its log, {correct}"
            ) from None
        known = False
    except httpx.HTTPError as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise PrefectTrouble(
            f"Prefect at {address} does not answer ({what}); start it, {correct}"
        ) from None
    except ValueError:  # no JSON
        known = False
    if not known:
        raise PrefectTrouble(f"what answers at {address} is no Prefect server; {correct}")


def _require_home(home: Path, database: Path) -> None:
    from tasks.out_files import require_room

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
        raise PrefectTrouble(
            f"Prefect, the embedded server, keeps its records in {home}: {told(error)}, {elsewhere}"
        ) from None
    except sqlite3.DatabaseError as error:
        raise PrefectTrouble(
            f"Prefect, the embedded server, cannot use {database} ({error}); end the process that "
            f"holds it, or move it away if it is damaged, {elsewhere}"
        ) from None

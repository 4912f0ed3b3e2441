"""Prefect: servers that are dead, hang or are something else; the embedded one without its home."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from deployments.exit_codes import TROUBLE
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command
from tests.faults.disks import SmallDisk, fill, held, read_only
from tests.faults.fake_servers import LOGIN_PAGE, answering, nobody, silent, wrong_answers

pytestmark = [pytest.mark.integration, pytest.mark.slow]

WRONG_ANSWERS = (
    ("answers with an error of its own", 500, "Internal Server Error", "HTTP 500"),
    ("asks for a login", 200, LOGIN_PAGE, "no Prefect server"),
    ("does not know this user", 401, '{"exception_message": "Unauthorized"}', "PREFECT_API_AUTH"),
    ("has nothing at this path", 404, "Not Found", "no Prefect server"),
)


@fault(
    Area.SERVERS,
    "nobody listens at PREFECT_API_URL",
    made="a port that is closed",
    code=TROUBLE,
    told=("does not answer", "PREFECT_API_URL"),
    left=Left.AS_BEFORE,
)
def test_a_dead_server(begun: Command, screen: Path) -> None:
    address = f"{nobody()}/api"
    assert address in begun("fit", screen, PREFECT_API_URL=address).err


@fault(
    Area.SERVERS,
    "the Prefect server hangs",
    made="a port where connections are taken and never answered",
    code=TROUBLE,
    told=("does not answer", "PREFECT_API_URL"),
    left=Left.AS_BEFORE,
)
def test_a_server_that_hangs(begun: Command, screen: Path) -> None:
    with silent() as address:
        done = begun("fit", screen, PREFECT_API_URL=f"{address}/api")
    assert done.seconds < 120


@pytest.mark.parametrize(("status", "body"), wrong_answers("PREFECT_API_URL", WRONG_ANSWERS))
def test_a_server_that_is_none_of_ours(
    begun: Command, screen: Path, status: int, body: str
) -> None:
    with answering(status, body) as address:
        begun("fit", screen, PREFECT_API_URL=f"{address}/api")


def damaged(home: Path) -> AbstractContextManager[None]:
    (home / "prefect.db").write_bytes(b"not a database\n" * 1000)
    return nullcontext()


def locked(home: Path) -> AbstractContextManager[None]:
    return held(home / "prefect.db")


SPOILED_HOMES: tuple[tuple[str, str, Callable[[Path], AbstractContextManager[None]]], ...] = (
    ("may not be written to", "PREFECT_HOME mounted read-only, no server", read_only),
    ("holds a damaged database", "a prefect.db overwritten with text, no server", damaged),
    ("holds a locked database", "BEGIN EXCLUSIVE in another process, no server", locked),
)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            spoil,
            marks=fault(
                Area.SERVERS,
                f"Prefect's home {what}",
                made=made,
                code=TROUBLE,
                told=("embedded server", "PREFECT_HOME"),
                left=Left.AS_BEFORE,
            ),
            id=what,
        )
        for what, made, spoil in SPOILED_HOMES
    ],
)
def test_a_home_that_cannot_be_used(
    begun: Command,
    screen: Path,
    tmp_path: Path,
    spoil: Callable[[Path], AbstractContextManager[None]],
) -> None:
    home = tmp_path / "home of prefect"
    home.mkdir()
    with spoil(home):
        begun("fit", screen, PREFECT_HOME=str(home), PREFECT_API_URL="")


@fault(
    Area.DISK,
    "Prefect's home is on a full disk",
    made="PREFECT_HOME on a tmpfs without a byte left, no server",
    code=TROUBLE,
    told=("embedded server", "PREFECT_HOME"),
    left=Left.AS_BEFORE,
)
def test_a_full_home(begun: Command, small_disk: SmallDisk, screen: Path) -> None:
    disk = small_disk(1)
    fill(disk)
    begun("fit", screen, PREFECT_HOME=str(disk), PREFECT_API_URL="")

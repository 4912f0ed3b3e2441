"""MLflow: servers that are dead, hang or are something else; stores locked, damaged, of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.exit_codes import TROUBLE
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command
from tests.faults.fake_servers import LOGIN_PAGE, answering, nobody, silent, wrong_answers

pytestmark = [pytest.mark.integration, pytest.mark.slow]

WRONG_ANSWERS = (
    ("answers with an error of its own", 500, "Internal Server Error", "HTTP 500"),
    ("asks for a login", 200, LOGIN_PAGE, "is no MLflow server"),
    ("does not know this user", 401, "Unauthorized", "does not let this user in"),
    ("does not let this user in", 403, "Forbidden", "does not let this user in"),
    ("has nothing at this path", 404, "Not Found", "is no MLflow server"),
)


@fault(
    Area.SERVERS,
    "nobody listens at MLFLOW_TRACKING_URI",
    made="a port that is closed",
    code=TROUBLE,
    told=("does not answer (ConnectionError)", "MLFLOW_TRACKING_URI"),
    left=Left.AS_BEFORE,
)
def test_a_dead_server(begun: Command, screen: Path) -> None:
    address = nobody()
    done = begun("fit", screen, MLFLOW_TRACKING_URI=address)
    assert address in done.err and "Fitting" not in done.err


@fault(
    Area.SERVERS,
    "the MLflow server hangs",
    made="a port where connections are taken and never answered",
    code=TROUBLE,
    told=("does not answer (ReadTimeout)", "MLFLOW_TRACKING_URI"),
    left=Left.AS_BEFORE,
)
def test_a_server_that_hangs(begun: Command, screen: Path) -> None:
    with silent() as address:
        done = begun("fit", screen, MLFLOW_TRACKING_URI=address)
    assert "Fitting" not in done.err


@pytest.mark.parametrize(("status", "body"), wrong_answers("MLFLOW_TRACKING_URI", WRONG_ANSWERS))
def test_a_server_that_is_none_of_ours(
    begun: Command, screen: Path, status: int, body: str
) -> None:
    with answering(status, body) as address:
        begun("fit", screen, MLFLOW_TRACKING_URI=address)


@fault(
    Area.SERVERS,
    "another server listens at MLFLOW_TRACKING_URI",
    made="the address of a Prefect server",
    code=TROUBLE,
    told=("is no MLflow server", "MLFLOW_TRACKING_URI"),
    left=Left.AS_BEFORE,
)
def test_the_address_of_prefect(begun: Command, screen: Path, api: str) -> None:
    address = api.removesuffix("/api")
    begun("fit", screen, MLFLOW_TRACKING_URI=address)

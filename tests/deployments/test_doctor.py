"""What `screenbayes doctor` prints, its exit code, and what it says of a Prefect server."""

from __future__ import annotations

import pytest

from deployments import doctor as command
from deployments.command_line import main
from deployments.doctor import look_at_prefect
from deployments.exit_codes import DONE, TROUBLE
from schemas.surroundings import Looked

SOUND = Looked(what="disk", status="ok", found="[red]plenty[/]")
SLOW = Looked(what="memory", status="warning", found="little", mend="buy some")
BROKEN = Looked(what="MLflow", status="trouble", found="away", mend="start it")


@pytest.mark.parametrize(
    ("found", "code", "last"),
    [
        ([SOUND], DONE, "0 trouble(s), 0 warning(s), 1 ok"),
        ([SOUND, SLOW], DONE, "0 trouble(s), 1 warning(s), 1 ok"),
        ([SOUND, SLOW, BROKEN], TROUBLE, "1 trouble(s), 1 warning(s), 1 ok"),
    ],
)
def test_trouble_decides_the_exit_code(found, code, last, monkeypatch, capsys):
    monkeypatch.setattr(command, "surroundings", lambda: found)
    assert main(["doctor"]) == code
    said = capsys.readouterr().out
    assert said.strip().splitlines()[-1] == last
    assert "[red]plenty[/]" in said
    assert all(one.mend in said for one in found)


@pytest.mark.integration
def test_a_server_without_what_we_run_is_told(prefect_server, monkeypatch):
    # The server is shared with tests that may have deployed to it before.
    monkeypatch.setattr(command, "POOL", "a pool that nobody made")
    server, deployments = look_at_prefect()
    assert server.status == "ok" and server.found.startswith("http")
    assert deployments.status == "warning" and "screenbayes deploy" in deployments.mend


@pytest.mark.integration
def test_everything_that_is_looked_at_has_its_say(prefect_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = command.surroundings()
    assert {"Python", "packages", "cores", "memory", "working folder", "MLflow", "Prefect"} <= {
        one.what for one in found
    }
    assert not [one for one in found if one.found.startswith("could not be looked at")]

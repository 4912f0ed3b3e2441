"""`screenbayes doctor` prints every look with what to do, and its exit code."""

from __future__ import annotations

import pytest

from deployments import doctor as command
from deployments.command_line import main
from deployments.exit_codes import DONE, TROUBLE
from schemas.surroundings import Looked

SOUND = Looked(what="disk", status="ok", found="[red]plenty[/]")
SLOW = Looked(what="memory", status="warning", found="little", mend="buy some")
BROKEN = Looked(what="MLflow", status="trouble", found="away", mend="start it")


@pytest.mark.parametrize(("found", "code"), [([], DONE), ([BROKEN], TROUBLE)])
def test_trouble_decides_the_exit_code(found, code, monkeypatch, capsys):
    monkeypatch.setattr(command, "surroundings", lambda: [SOUND, SLOW, *found])
    assert main(["doctor"]) == code
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == f"{len(found)} trouble(s), 1 warning(s), 1 ok"
    assert "[red]plenty[/]" in shown and all(one.mend in shown for one in (SLOW, *found))


@pytest.mark.integration
def test_a_server_without_deployments_is_reported(prefect_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # The server is shared with tests that may have deployed to it before.
    monkeypatch.setattr(command, "POOL", "a pool that nobody made")
    found = {one.what: one for one in command.surroundings()}
    assert {"Python", "packages", "cores", "memory", "working folder", "MLflow"} <= set(found)
    assert not [one for one in found.values() if one.found.startswith("could not be looked at")]
    assert found["Prefect"].status == "ok" and found["Prefect"].found.startswith("http")
    assert found["deployments"].status == "warning"
    assert "screenbayes deploy" in found["deployments"].mend

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

"""What `screenbayes deploy` refuses before it changes anything on a server."""

from __future__ import annotations

import pytest

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT

NOBODY = "http://127.0.0.1:9/api"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PREFECT_API_URL", "", "expected the address of a Prefect server"),
        ("SCREENBAYES_REFRESH_CRON", "every night", "got 'every night'; correct it"),
        ("SCREENBAYES_SETTLE_SECONDS", "5 min", "expected a whole number, got '5 min'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", NOBODY)
    monkeypatch.setenv(name, value)
    assert main(["deploy"]) == BAD_INPUT
    error = capsys.readouterr().err
    assert name in error and said in " ".join(error.split())

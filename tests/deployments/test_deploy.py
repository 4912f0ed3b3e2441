"""What `screenbayes deploy` refuses before it changes anything on a server."""

from __future__ import annotations

import pytest

from deployments.command_line import main
from deployments.deploy import _described, _settings
from deployments.exit_codes import BAD_INPUT

NOBODY = "http://127.0.0.1:9/api"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PREFECT_API_URL", "", "expected the address of a Prefect server"),
        ("SCREENBAYES_REFRESH_CRON", "every night", "got 'every night'; correct it"),
        ("SCREENBAYES_SETTLE_SECONDS", "5 min", "expected a whole number, got '5 min'"),
        ("SCREENBAYES_MODEL", "m5", "expected one of m4, m4_zero_mean, m4_nested, got 'm5'"),
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


def test_releases_are_fitted_with_the_model_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCREENBAYES_PREFIX", "s3://bucket/releases")
    (refresh,) = (one for one in _described()["deployments"] if one["name"] == "refresh-releases")
    # Filled in from the environment, or its default, when it is deployed.
    assert refresh["parameters"]["parameters"] == {"model": "{{ $SCREENBAYES_MODEL }}"}
    assert _settings()["SCREENBAYES_MODEL"] == "m4"
    monkeypatch.setenv("SCREENBAYES_MODEL", "m4_nested")
    assert _settings()["SCREENBAYES_MODEL"] == "m4_nested"


def test_an_empty_setting_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    default = _settings()
    for name in default:
        monkeypatch.setenv(name, "")
    assert _settings() == default
    assert default["SCREENBAYES_FITS_AT_ONCE"] == "2"

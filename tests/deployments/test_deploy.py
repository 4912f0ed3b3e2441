"""`screenbayes deploy` refuses bad settings before it changes anything on a server."""

from __future__ import annotations

import pytest

from deployments.command_line import main
from deployments.deploy import _described, _settings
from deployments.exit_codes import BAD_INPUT


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PREFECT_API_URL", "", "expected the address of a Prefect server"),
        ("SCREENBAYES_REFRESH_CRON", "every night", "got 'every night'; correct it"),
        ("SCREENBAYES_MODEL", "m5", "expected one of m4, m4_zero_mean, m4_nested, got 'm5'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(monkeypatch, capsys, name, value, words):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv(name, value)
    assert main(["deploy"]) == BAD_INPUT
    error = " ".join(capsys.readouterr().err.split())
    assert name in error and words in error


def test_an_empty_setting_has_its_default_and_the_model_is_filled_in(monkeypatch):
    default = _settings()
    assert (default["SCREENBAYES_MODEL"], default["SCREENBAYES_FITS_AT_ONCE"]) == ("m4", "2")
    for name in default:
        monkeypatch.setenv(name, "")
    assert _settings() == default
    monkeypatch.setenv("SCREENBAYES_PREFIX", "s3://bucket/releases")
    (refresh,) = (one for one in _described()["deployments"] if one["name"] == "refresh-releases")
    # Filled in from the environment, or its default, when it is deployed.
    assert refresh["parameters"]["parameters"] == {"model": "{{ $SCREENBAYES_MODEL }}"}

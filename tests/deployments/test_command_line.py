"""Errors become a line and an exit code; the demonstration draws as its engine needs."""

from __future__ import annotations

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from deployments import command_line
from deployments.command_line import _trouble
from deployments.options import FitOptions


def refused(code: int) -> Exception:
    request = httpx.Request("POST", "http://127.0.0.1:4200/api/flow_runs/")
    answer = httpx.Response(code, request=request, json={"exception_message": "of the server"})
    return PrefectHTTPStatusError.from_httpx_error(
        httpx.HTTPStatusError("refused", request=request, response=answer)
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), ("memory: there was not enough (", "--draws")),
        (RuntimeError("can't start new thread"), ("memory: there was not enough (", "--draws")),
        (refused(503), ("of the server", "try again later")),
        (refused(422), None),  # a defect of ours
        (RuntimeError("of ours"), None),
    ],
)
def test_errors_of_the_surroundings_say_what_to_do(error, words):
    line = _trouble(error)
    assert line is None if words is None else all(word in line for word in words)


@pytest.mark.parametrize(
    ("options", "draws"),
    [
        (FitOptions(), 2000),
        (FitOptions(engine="nuts"), 20_000),
        (FitOptions(engine="nuts", draws=500), 500),
    ],
)
def test_only_a_demonstration_with_nuts_needs_many_draws(options, draws, tmp_path, monkeypatch):
    asked = []

    def fit(dataset, parameters, pictures):
        asked.append((parameters.sampling.draws, pictures))
        raise ZeroDivisionError

    monkeypatch.setattr(command_line, "_fit", fit)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError):
        command_line.demo(options=options, pictures="none")
    assert asked == [(draws, "none")]

"""Errors become a line and an exit code; the demonstration draws as its engine needs."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
from prefect.exceptions import PrefectHTTPStatusError
from rich.console import Console

from deployments import command_line
from deployments.command_line import _told_kindly, _trouble
from deployments.exit_codes import TROUBLE
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


def test_memory_that_ran_out_is_reported_without_a_traceback():
    console = Console(file=io.StringIO(), width=500)
    with _told_kindly(console) as codes:
        np.empty(1 << 60, dtype=np.uint8)  # more than any machine has
    shown = console.file.getvalue()
    assert codes[-1] == TROUBLE and "there was not enough" in shown and "Traceback" not in shown


@pytest.mark.parametrize(
    ("options", "draws"),
    [
        (FitOptions(), 2000),
        (FitOptions(engine="exact"), 2000),
        (FitOptions(engine="nuts"), 20_000),
        (FitOptions(engine="nuts", draws=500), 500),
        (FitOptions(engine="exact", draws=500), 500),
        ("engine: nuts\n", 20_000),
    ],
)
def test_only_a_demonstration_with_nuts_needs_many_draws(options, draws, tmp_path, monkeypatch):
    if isinstance(options, str):
        (tmp_path / "settings.yaml").write_text(options)
        options = FitOptions(parameters=tmp_path / "settings.yaml")
    asked = []

    def fit(dataset, parameters, pictures):
        asked.append((parameters.sampling.draws, pictures))
        raise ZeroDivisionError

    monkeypatch.setattr(command_line, "_fit", fit)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError):
        command_line.demo(options=options, pictures="none")
    assert asked == [(draws, "none")]

"""What the surroundings did, in a line."""

from __future__ import annotations

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from deployments.command_line import _trouble


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_memory_that_is_gone_is_said_so_however_python_says_it(error: Exception) -> None:
    said = _trouble(error)
    assert said is not None and said.startswith("memory: there was not enough (")


def refused(code: int) -> Exception:
    request = httpx.Request("POST", "http://127.0.0.1:4200/api/flow_runs/")
    answer = httpx.Response(code, request=request, json={"exception_message": "of the server"})
    return PrefectHTTPStatusError.from_httpx_error(
        httpx.HTTPStatusError("refused", request=request, response=answer)
    )


def test_what_prefect_cannot_do_is_trouble_and_what_it_does_not_understand_is_not() -> None:
    said = _trouble(refused(503))
    assert said is not None and "of the server" in said and said.endswith("try again later")
    assert _trouble(refused(422)) is None


def test_a_defect_of_ours_is_no_trouble() -> None:
    assert _trouble(RuntimeError("of ours")) is None

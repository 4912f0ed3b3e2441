"""The Prefect server of a command answers, and ends with it however it ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.server.embedded import embedded_server
from tests.integration.processes import PATIENCE, wait_until

pytestmark = [pytest.mark.slow]

COMMAND = """
import os, time
from deployments.server.embedded import embedded_server
with embedded_server() as ready:
    ready()
    print(os.environ["PREFECT_API_URL"], flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


def answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=PATIENCE).json() is True
    except httpx.TransportError:
        return False


def test_a_server_answers_during_the_block_and_not_after_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), embedded_server() as ready:
        ready()
        api = os.environ["PREFECT_API_URL"]
        assert answers(api) and (tmp_path / "prefect.db").exists()
        raise KeyboardInterrupt
    assert not answers(api) and "PREFECT_API_URL" not in os.environ


def test_a_server_ends_with_a_command_that_is_killed():
    command = [sys.executable, "-c", COMMAND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        api = process.stdout.readline().strip()
        assert answers(api)
        process.kill()
    wait_until(lambda: not answers(api), PATIENCE, "the server has ended")

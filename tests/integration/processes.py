"""Real servers for the tests: each on a free port of this machine, to be killed and started again.

Their state is in a folder, and survives a kill. What is tested with them is in the test modules.
"""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import psycopg
import pytest
import requests

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


PATIENCE = 600.0
"""Seconds for what takes ten on an idle machine: on a busy one it takes minutes, and a test that
gives up sooner says nothing about the code."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def s3_settings(endpoint: str) -> dict[str, str]:
    """The environment in which boto3 and s3fs find the S3 endpoint of the tests."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def wait_until(done: Callable[[], object], seconds: float, what: str, every: float = 0.5) -> None:
    """Wait for something to be true; fail if it never is. No answer of a server is not true."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if done():
                return
        except (requests.RequestException, OSError, psycopg.Error):
            pass
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(every)


class Server:
    """A process with a log, in a session of its own, so that its children can be killed with it."""

    def __init__(
        self, name: str, folder: Path, command: list[str], environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._command = command
        self._environment = {**os.environ, **QUIET, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, answers: Callable[[], object] = lambda: True, seconds: float = PATIENCE
    ) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._answers = answers
        wait_until(self._lives_and_answers, seconds, f"{self.name} answers; its log is {self.log}")
        return self

    def _lives_and_answers(self) -> object:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"{self.name} has ended: {self.log.read_text(errors='replace')[-2000:]}")
        return self._answers()

    def start_again(self) -> Self:
        return self.start(self._answers)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def gave_up(self) -> bool:
        """Whether it has ended by itself, killed by nobody."""
        code = None if self._process is None else self._process.poll()
        return code is not None and code >= 0

    def kill(self, *, alone: bool = False) -> None:
        """Kill -9: with all it has started, or alone."""
        (os.kill if alone else os.killpg)(self.pid, signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        os.killpg(self.pid, signal.SIGTERM)
        try:
            self._wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def _wait(self, seconds: float = 30) -> None:
        assert self._process is not None
        self._process.wait(seconds)


def postgres(folder: Path, port: int) -> Server:
    """A PostgreSQL with the databases prefect and mlflow, for everybody on this machine."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(programs[-1]) if programs else None)
    if initdb is None:
        pytest.skip("no PostgreSQL: install it (Debian: apt-get install postgresql)")
    binaries = Path(initdb).resolve().parent
    # Not below `folder`: any other pytest on this machine makes its parent private again, and
    # PostgreSQL, which runs as another user, can then no longer enter it.
    data = Path(tempfile.mkdtemp(prefix="screenbayes-postgres-"))
    atexit.register(shutil.rmtree, data, ignore_errors=True)
    as_user: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        os.chown(data, pwd.getpwnam("postgres").pw_uid, -1)
    command = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
    subprocess.run([*as_user, *command], check=True, capture_output=True, cwd="/")
    # No socket of its own: its path may have 107 bytes, and folders of tests are deeper.
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    command = [*as_user, str(binaries / "postgres"), "-D", str(data), *settings.split()]
    server = Server("postgres", folder, command, {})
    address = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    server.start(lambda: psycopg.connect(address))
    with psycopg.connect(address, autocommit=True) as connection:
        for name in ("prefect", "mlflow"):
            connection.execute(f"CREATE DATABASE {name}")
    return server


def prefect_server(folder: Path, port: int, database: str) -> Server:
    environment = {
        "PREFECT_HOME": str(folder / "prefect-server"),
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        # In memory, a restart would forget who holds a turn, and nobody would get it again.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    server = Server("prefect", folder, command, environment)
    return server.start(_answers(f"http://127.0.0.1:{port}/api/health"))


def mlflow_server(
    folder: Path, port: int, store: str, artifacts: str, environment: Mapping[str, str]
) -> Server:
    """An MLflow server that keeps artifacts at a place only it has the keys of."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port)]
    command += ["--workers", "1"]
    settings = {
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    server = Server("mlflow", folder, command, {**environment, **settings})
    return server.start(_answers(f"http://127.0.0.1:{port}/health"))


def _answers(address: str) -> Callable[[], object]:
    return lambda: requests.get(address, timeout=5).ok

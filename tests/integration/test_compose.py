"""The commands and settings of the compose file, run as processes of this machine.

What stands for a container's network is replaced: names of hosts, ports, and the database's user.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml

from tests.integration.processes import QUIET, Server, free_port, postgres, wait_until

pytestmark = [pytest.mark.integration]

FILE = Path(__file__).resolve().parents[2] / "deployments" / "compose.yaml"


def of_this_machine(text, ports, settings):
    """Fill in settings as compose does, and put this machine in the place of the containers."""

    def value(match):
        name, default = match[1], match[2] or ""
        return settings.get(name) or default.removeprefix(":-").removeprefix(":?")

    text = re.sub(r"\$\{(\w+)(:[-?][^}]*)?\}", value, text)
    text = text.replace("screenbayes:secret@postgres/", f"postgres:x@127.0.0.1:{ports['db']}/")
    text = text.replace("0.0.0.0", "127.0.0.1").replace("//prefect:", "//127.0.0.1:")
    text = text.replace("//mlflow:", "//127.0.0.1:")
    return text.replace("4200", str(ports["prefect"])).replace("5000", str(ports["mlflow"]))


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compose")
    ports = {name: free_port() for name in ("db", "prefect", "mlflow")}
    settings = {
        "POSTGRES_PASSWORD": "secret",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "SCREENBAYES_ARTIFACTS": str(folder / "artifacts"),
        "SCREENBAYES_PREFIX": str(folder / "releases"),
    }
    services = yaml.safe_load(of_this_machine(FILE.read_text("utf-8"), ports, settings))["services"]
    started = [postgres(folder, ports["db"])]
    try:
        for name in ("prefect", "mlflow"):
            service = services[name]
            server = Server(name, folder, command(service), environment(service, folder))
            started.append(server)
            server.start(lambda check=service["healthcheck"]: healthy(check))
        yield services, folder, ports
    finally:
        for server in reversed(started):
            server.stop()


def command(service):
    program, *rest = service["command"]
    return [str(Path(sys.executable).with_name(program)), *rest]


def environment(service, folder):
    own = {name: str(value) for name, value in service["environment"].items()}
    return own | {"PREFECT_HOME": str(folder / "home"), "SCREENBAYES_WORK": str(folder)}


def healthy(check):
    kind, program, *rest = check["test"]
    assert (kind, program) == ("CMD", "python")
    return subprocess.run([sys.executable, *rest], capture_output=True, check=False).returncode == 0


def test_the_servers_come_up_and_are_found_healthy(stack):
    _, _, ports = stack
    assert requests.get(f"http://127.0.0.1:{ports['prefect']}/api/health", timeout=10).json()
    assert requests.get(f"http://127.0.0.1:{ports['mlflow']}/health", timeout=10).text == "OK"
    other = {"Host": "elsewhere.example"}
    answer = requests.get(
        f"http://127.0.0.1:{ports['mlflow']}/api/2.0/mlflow/experiments/search",
        headers=other,
        timeout=10,
    )
    assert answer.status_code == 403


def test_deploy_and_worker_do_their_part(stack):
    services, folder, ports = stack
    deploy = services["deploy"]
    done = subprocess.run(
        command(deploy),
        env={**os.environ, **QUIET, **environment(deploy, folder)},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    for name in ("fit-screen", "refresh-releases", "compare-runs", "calibrate"):
        assert name in done.stdout
    worker = services["worker"]
    server = Server("worker", folder, command(worker), environment(worker, folder)).start()
    api = f"http://127.0.0.1:{ports['prefect']}/api"
    try:
        wait_until(
            lambda: requests.post(
                f"{api}/work_pools/screenbayes/workers/filter", json={}, timeout=10
            ).json(),
            60,
            "the worker is in the pool",
        )
    finally:
        server.stop()

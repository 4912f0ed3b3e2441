"""The production stack of deployments/compose.yaml as processes of this machine, and an S3 bucket.

Commands, settings and health checks are those of the compose file. Only what stands for the network
of the containers is replaced: names of hosts, ports, and the user of the database.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.cli.demo import write_demo_dataset
from tests.integration.processes import (
    PATIENCE,
    QUIET,
    Server,
    free_port,
    postgres,
    s3_settings,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "deployments" / "compose.yaml"


@dataclass
class Stack:
    """A running stack; `environment` is that of a command on this machine that uses it."""

    folder: Path
    environment: dict[str, str]
    bucket: str
    postgres: Server
    postgres_port: int
    prefect: Server
    mlflow: Server
    worker: Server
    deploy_service: tuple[list[str], dict[str, str]]
    client: SyncPrefectClient
    runs: MlflowClient

    def put_release(self, name: str, rows: int = 300) -> str:
        """Put so many rows of the simulated screen where releases land; return the address."""
        return self._put_screen("releases", name, rows, "simulated-screen")

    def put_dataset(self, name: str) -> str:
        """Put the simulated screen under another name outside the prefix of releases."""
        return self._put_screen("by-hand", "one", 300, name)

    def _put_screen(self, prefix: str, release: str, rows: int, dataset: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = write_demo_dataset(Path(folder))
            table = (Path(folder) / "simulated_screen.csv").read_text().splitlines(keepends=True)
            text = path.read_text().replace("seed103", release).replace("simulated-screen", dataset)
        key = f"{prefix}/{dataset}/{release}"
        self.put(f"{key}/simulated_screen.csv", "".join(table[: 1 + rows]))
        return self.put(f"{key}/dataset.yaml", text)

    def put(self, key: str, text: str) -> str:
        s3 = boto3.client("s3", endpoint_url=self.environment["AWS_ENDPOINT_URL"])
        s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())
        return f"s3://{self.bucket}/{key}"

    def fit(self, dataset_file: str, **parameters: Any) -> FlowRun:
        """Trigger a fit by m4, the model of the simulated screen, without pictures."""
        given = {"pictures": "none", "parameters": {"model": "m4"} | parameters}
        return self.trigger("fit-screen", dataset_file=dataset_file, **given)

    def trigger(self, deployment: str, **parameters: Any) -> FlowRun:
        found = self.client.read_deployment_by_name(f"{deployment}/{deployment}")
        return self.client.create_flow_run_from_deployment(found.id, parameters=parameters)

    def state(self, run: FlowRun) -> str:
        state = self.client.read_flow_run(run.id).state
        return "" if state is None else str(state.name)

    def wait_for(self, run: FlowRun, *states: str, seconds: float = PATIENCE) -> str:
        try:
            wait_until(lambda: self.state(run) in states, seconds, f"{run.name} in {states}")
        except pytest.fail.Exception as late:
            past = self.client.read_flow_run_states(run.id)
            told = [f"{state.timestamp} {state.name}: {state.message}" for state in past]
            raise pytest.fail.Exception("\n".join([str(late), *told])) from None
        return self.state(run)

    def flow_runs(self, flow: str) -> list[FlowRun]:
        """The runs of a flow that are not merely scheduled for later."""
        return [
            run
            for run in self.client.read_flow_runs(limit=200)
            if run.flow_id == self.client.read_flow_by_name(flow).id
            and not (run.state is not None and run.state.name in ("Scheduled", "Late"))
        ]

    def wait_until_idle(self) -> None:
        wait_until(self._is_idle, PATIENCE, "no flow run is running or due")

    def _is_idle(self) -> bool:
        active = ("Pending", "Running", "Late", "AwaitingConcurrencySlot", "AwaitingRetry")
        # A worker may need a moment to see what was just triggered.
        due = datetime.now(UTC) + timedelta(seconds=5)
        return not any(
            run.state is not None
            and (
                run.state.name in active
                or (run.state.is_scheduled() and (run.expected_start_time or due) <= due)
            )
            for run in self.client.read_flow_runs(limit=200)
        )

    def tracked(self, kind: str | None = None, dataset: str = "simulated-screen") -> list[Run]:
        """The runs in MLflow: fits, or those of a kind."""
        experiment = self.runs.get_experiment_by_name(dataset)
        if experiment is None:
            return []
        found = self.runs.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
        return [run for run in found if run.data.tags.get("kind") == kind]

    def finished(self, dataset: str = "simulated-screen") -> list[Run]:
        return [run for run in self.tracked(dataset=dataset) if run.info.status == "FINISHED"]

    def deploy(self, **changes: str) -> None:
        command, environment = self.deploy_service
        given = {**os.environ, **QUIET, **environment, **changes}
        done = subprocess.run(command, env=given, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stderr


@contextmanager
def running_stack(folder: Path, s3_endpoint: str) -> Iterator[Stack]:
    bucket = f"screens-{uuid4().hex[:12]}"
    ports = {name: free_port() for name in ("postgres", "prefect", "mlflow")}
    storage = s3_settings(s3_endpoint)
    settings = storage | {
        "POSTGRES_PASSWORD": "secret",
        "SCREENBAYES_ARTIFACTS": f"s3://{bucket}/mlflow",
        "SCREENBAYES_PREFIX": f"s3://{bucket}/releases",
        "SCREENBAYES_SETTLE_SECONDS": "2",
        "SCREENBAYES_MODEL": "m4",
    }
    text = _on_this_machine(COMPOSE_FILE.read_text("utf-8"), ports, settings)
    services = yaml.safe_load(text)["services"]
    # Sooner than in production, where nobody waits for it.
    services["worker"]["environment"]["PREFECT_WORKER_QUERY_SECONDS"] = "2"
    environment = storage | {
        "PREFECT_API_URL": services["worker"]["environment"]["PREFECT_API_URL"],
        "MLFLOW_TRACKING_URI": services["worker"]["environment"]["MLFLOW_TRACKING_URI"],
    }
    with (
        ExitStack() as servers,
        pytest.MonkeyPatch.context() as patch,
        # Over a server of the session's own, whose settings would win over the environment.
        temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}),
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=bucket)
        database = postgres(folder, ports["postgres"])
        servers.callback(database.stop)
        started: dict[str, Server] = {}
        for name in ("prefect", "mlflow"):
            service = services[name]
            server = Server(name, folder, _command(service), _environment(name, service, folder))
            servers.callback(server.stop)
            started[name] = server.start(partial(_healthy, service["healthcheck"]))
        deploy = services["deploy"]
        worker = services["worker"]
        hand = Server("worker", folder, _command(worker), _environment("worker", worker, folder))
        stack = Stack(
            folder,
            environment,
            bucket,
            database,
            ports["postgres"],
            started["prefect"],
            started["mlflow"],
            hand,
            (_command(deploy), _environment("deploy", deploy, folder)),
            servers.enter_context(SyncPrefectClient(environment["PREFECT_API_URL"])),
            MlflowClient(environment["MLFLOW_TRACKING_URI"]),
        )
        stack.deploy()
        servers.callback(hand.stop)
        hand.start()
        yield stack


def _on_this_machine(text: str, ports: dict[str, int], settings: dict[str, str]) -> str:
    """Fill in the settings as compose does, with the hosts and ports of this machine."""

    def value(match: re.Match[str]) -> str:
        name, default = match[1], match[2] or ""
        return settings.get(name) or default.removeprefix(":-").removeprefix(":?")

    text = re.sub(r"\$\{(\w+)(:[-?][^}]*)?\}", value, text)
    text = text.replace("screenbayes:secret@postgres", f"postgres:x@127.0.0.1:{ports['postgres']}")
    text = text.replace("0.0.0.0", "127.0.0.1")
    text = text.replace("//prefect:", "//127.0.0.1:").replace("//mlflow:", "//127.0.0.1:")
    return text.replace("4200", str(ports["prefect"])).replace("5000", str(ports["mlflow"]))


def _command(service: dict[str, Any]) -> list[str]:
    program, *rest = service["command"]
    return [str(Path(sys.executable).with_name(program)), *rest]


def _environment(name: str, service: dict[str, Any], folder: Path) -> dict[str, str]:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    own = {name: str(value) for name, value in service["environment"].items()}
    return own | {
        "PREFECT_HOME": str(folder / f"home of {name}"),
        "SCREENBAYES_WORK": str(work),
        "PYTHONPATH": str(ROOT),
    }


def _healthy(check: dict[str, Any]) -> bool:
    kind, program, *rest = check["test"]
    assert (kind, program) == ("CMD", "python")
    return subprocess.run([sys.executable, *rest], capture_output=True, check=False).returncode == 0

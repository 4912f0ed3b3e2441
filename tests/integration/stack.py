"""A whole production stack for a test: PostgreSQL, S3, Prefect, MLflow, a worker, deployed.

And what the tests ask of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.demo import write_demo_dataset
from tests.integration.processes import (
    PATIENCE,
    Server,
    free_port,
    mlflow_server,
    postgres,
    prefect_server,
    wait_until,
    worker,
)

SETTLE_SECONDS = "2"


@dataclass
class Stack:
    """A running stack; `environment` is what a command of ours needs to use it."""

    folder: Path
    environment: dict[str, str]
    bucket: str
    postgres: Server
    prefect: Server
    mlflow: Server
    worker: Server
    client: SyncPrefectClient
    runs: MlflowClient
    postgres_port: int

    def put_release(self, name: str, rows: int = 300) -> str:
        """Put the simulated screen, cut to so many rows, where releases land; return where."""
        return self._put_screen("releases", name, rows, "simulated-screen")

    def put_dataset(self, name: str) -> str:
        """Put the simulated screen under another name where nobody looks for it."""
        return self._put_screen("by-hand", "one", 300, name)

    def _put_screen(self, folder_key: str, name: str, rows: int, dataset: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = write_demo_dataset(Path(folder))
            table = (Path(folder) / "simulated_screen.csv").read_text().splitlines(keepends=True)
            text = path.read_text().replace("seed103", name).replace("simulated-screen", dataset)
        place = f"{folder_key}/{dataset}/{name}"
        self.put(f"{place}/simulated_screen.csv", "".join(table[: 1 + rows]))
        return self.put(f"{place}/dataset.yaml", text)

    def put(self, key: str, text: str) -> str:
        self._s3().put_object(Bucket=self.bucket, Key=key, Body=text.encode())
        return f"s3://{self.bucket}/{key}"

    def trigger(self, deployment: str, **parameters: Any) -> FlowRun:
        found = self.client.read_deployment_by_name(f"{deployment}/{deployment}")
        return self.client.create_flow_run_from_deployment(found.id, parameters=parameters)

    def state(self, run: FlowRun) -> str:
        state = self.client.read_flow_run(run.id).state
        return "" if state is None else str(state.name)

    def wait_for(self, run: FlowRun, *states: str, seconds: float = PATIENCE) -> str:
        wait_until(lambda: self.state(run) in states, seconds, f"{run.name} in {states}")
        return self.state(run)

    def flow_runs(self, flow: str) -> list[FlowRun]:
        """The runs of a flow that are not merely scheduled for later."""
        return [
            run
            for run in self.client.read_flow_runs(limit=200)
            if run.flow_id == self.client.read_flow_by_name(flow).id
            and not (run.state is not None and run.state.name in ("Scheduled", "Late"))
        ]

    def all_quiet(self) -> bool:
        """Whether no flow run is under way or due."""
        soon = ("Pending", "Running", "Late", "AwaitingConcurrencySlot", "AwaitingRetry")
        # A worker may take its time to see what was triggered a moment ago.
        due = datetime.now(UTC) + timedelta(seconds=5)
        return not any(
            run.state is not None
            and (
                run.state.name in soon
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
        command = [sys.executable, "-m", "deployments.command_line", "deploy"]
        environment = {**os.environ, **self.environment, **changes}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _s3(self) -> Any:
        return boto3.client("s3", endpoint_url=self.environment["AWS_ENDPOINT_URL"])


@contextmanager
def running_stack(folder: Path, s3_endpoint: str) -> Iterator[Stack]:
    """Bring everything up from nothing, and take it down."""
    bucket = f"screens-{uuid4().hex[:12]}"
    ports = [free_port() for _ in range(3)]
    s3 = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    root = Path(__file__).resolve().parents[2]
    environment = {
        **s3,
        "PREFECT_API_URL": f"http://127.0.0.1:{ports[1]}/api",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports[2]}",
        "SCREENBAYES_PREFIX": f"s3://{bucket}/releases",
        "SCREENBAYES_SETTLE_SECONDS": SETTLE_SECONDS,
        "PYTHONPATH": str(root),
        "PREFECT_HOME": str(folder / "prefect-client"),
    }
    store = f"postgresql+psycopg://postgres@127.0.0.1:{ports[0]}/mlflow"
    database = f"postgresql+asyncpg://postgres@127.0.0.1:{ports[0]}/prefect"
    keys = {**s3, "MLFLOW_S3_ENDPOINT_URL": s3_endpoint}
    with (
        ExitStack() as servers,
        pytest.MonkeyPatch.context() as patch,
        # Over a server of the session's own, whose settings would win over the environment.
        temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}),
    ):
        for name, value in environment.items():
            if name != "PYTHONPATH":
                patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=bucket)
        databases = postgres(folder, ports[0])
        servers.callback(databases.stop)
        prefect = prefect_server(folder, ports[1], database)
        servers.callback(prefect.stop)
        mlflow = mlflow_server(folder, ports[2], store, f"s3://{bucket}/mlflow", keys)
        servers.callback(mlflow.stop)
        client = servers.enter_context(SyncPrefectClient(environment["PREFECT_API_URL"]))
        runs = MlflowClient(environment["MLFLOW_TRACKING_URI"])
        hand = worker(folder, environment)
        servers.callback(hand.stop)
        stack = Stack(
            folder, environment, bucket, databases, prefect, mlflow, hand, client, runs, ports[0]
        )
        stack.deploy()
        yield stack

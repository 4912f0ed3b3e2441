"""`screenbayes serve`: Prefect and MLflow with their pages, and a worker, on this machine alone.

Starting and stopping a process is `deployments.processes`; what is deployed `deployments.deploy`.
A stack for many people is docs/production.md.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape

from deployments.deploy import POOL, register
from deployments.exit_codes import DONE
from deployments.processes import HOST, Process, require_free
from deployments.signals import heard_like_interrupts
from schemas.errors import UserError
from schemas.parameters import ModelName

TRAINING_PAGES = "workflowType=machine_learning"


class AlreadyServed(UserError):
    """A folder whose workbench is up."""


def serve(
    *,
    folder: Path = Path("screenbayes-workbench"),
    prefect_port: int = 4200,
    mlflow_port: int = 5000,
    prefix: str = "",
    model: ModelName = "m4",
    every: str = "0 3 * * *",
) -> int:
    """Bring up the workbench on this machine: Prefect, MLflow and a worker. Ctrl-C ends it.

    Analysts then trigger fits in the Prefect UI and compare them in the MLflow UI. Fits are kept
    in mlflow.db and mlruns/ of the working folder, with those of `screenbayes fit`.

    Parameters
    ----------
    folder
        Folder for the records of Prefect, logs, and an example screen.
    prefect_port
        Port of the Prefect server and UI.
    mlflow_port
        Port of the MLflow server and UI.
    prefix
        Folder or s3:// address in which releases land, to be fitted by themselves.
    model
        What these are fitted with; m4_nested for real screens.
    every
        When to look there, as a cron expression, UTC.
    """
    require_free(prefect_port, "--prefect-port")
    require_free(mlflow_port, "--mlflow-port")
    console = Console()
    with heard_like_interrupts(even_ignored=True), _only_one_in(folder), ExitStack() as down:
        try:
            refresh = {
                "SCREENBAYES_PREFIX": prefix,
                "SCREENBAYES_MODEL": model,
                "SCREENBAYES_REFRESH_CRON": every,
            }
            processes = _bring_up(folder, prefect_port, mlflow_port, refresh, console, down)
            while True:
                for process in processes:
                    process.require_alive()
                time.sleep(0.5)
        except KeyboardInterrupt:
            console.print("Taking everything down")
    console.print("Down. Everything is kept; the same command brings it up again.")
    return DONE


def _bring_up(
    folder: Path,
    prefect_port: int,
    mlflow_port: int,
    refresh: dict[str, str],
    console: Console,
    down: ExitStack,
) -> list[Process]:
    from deployments.demo import write_demo_dataset

    here, folder = Path.cwd(), folder.resolve()
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    prefect, mlflow = f"http://{HOST}:{prefect_port}", f"http://{HOST}:{mlflow_port}"
    environment = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"{prefect}/api",
        "MLFLOW_TRACKING_URI": mlflow,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes nobody here has a use for
        # In memory, a server that is killed would forget who holds a turn.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR",
        # A flow tells its story itself; that each of its tasks ended well is on its page.
        "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
        "SCREENBAYES_WORK": str(here),
        **refresh,
    }

    def start(name: str, *command: str) -> Process:
        console.print(f"Starting {name}")
        arguments = [sys.executable, "-m", *command]
        process = Process(name, arguments, environment, logs / f"{command[0]}-{command[1]}.log")
        down.callback(process.stop)
        return process

    servers = [
        start("Prefect", "prefect", "server", "start", "--host", HOST, "--port", str(prefect_port)),
        start(
            "MLflow",
            "mlflow",
            "server",
            *("--host", HOST, "--port", str(mlflow_port), "--workers", "1"),
            # The store of plain `screenbayes fit`; through the server its artifacts would be
            # out of reach for it.
            *("--backend-store-uri", f"sqlite:///{here / 'mlflow.db'}"),
            *("--no-serve-artifacts", "--default-artifact-root", (here / "mlruns").as_uri()),
        ),
    ]
    servers[0].wait_for(f"{prefect}/api/health")
    servers[1].wait_for(f"{mlflow}/health")
    os.environ.update(environment)  # before Prefect is imported
    register()
    servers.append(start("a worker", "prefect", "worker", "start", "--pool", POOL))
    example = write_demo_dataset(folder / "example")

    console.print()
    lines = {
        "Trigger a fit": f"{prefect}/deployments/deployment/{_fit_screen_id()}/run",
        "All runs of flows": f"{prefect}/runs",
        "Fits, to compare": f"{mlflow}/#/experiments?{TRAINING_PAGES}",
        "A screen to try": str(example),
        "Logs": str(logs),
    }
    for what, where in lines.items():
        console.print(f"[bold]{what}:[/] {escape(where)}", soft_wrap=True)
    console.print("Ctrl-C takes everything down.")
    return servers


def _fit_screen_id() -> str:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return str(client.read_deployment_by_name("fit-screen/fit-screen").id)


@contextmanager
def _only_one_in(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "serve.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AlreadyServed(
            f"--folder: the workbench of {folder} is up already; use it, end it, or choose another "
            "folder with --folder"
        ) from None
    with lock:
        yield

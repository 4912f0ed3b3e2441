"""`screenbayes serve`: Prefect, MLflow and a worker on this machine, for one user.

For a stack that several people share, see docs/production.md.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape

from deployments.cli.exit_codes import DONE
from deployments.cli.signals import signals_as_interrupts
from deployments.server.processes import HOST, Process, require_free
from deployments.server.register import POOL, next_dates, register, shown_dates
from schemas.errors import UserError
from schemas.parameters import ModelName
from schemas.simulation import Simulation
from tasks.tracking.location import nearest_store

TRAINING_PAGES = "workflowType=machine_learning"


class AlreadyRunning(UserError):
    """A workbench is running in this folder."""


def serve(
    *,
    folder: Path = Path("screenbayes-workbench"),
    prefect_port: int = 4200,
    mlflow_port: int = 5000,
    prefix: str = "",
    model: ModelName = "m4_screen",
    every: str = "0 3 * * *",
) -> int:
    """Start the workbench on this machine: Prefect, MLflow and a worker. Ctrl-C stops it.

    Start fits in the Prefect UI and compare them in the MLflow UI. Fits are stored with those
    of `screenbayes fit`: in the nearest mlflow.db, of the working folder or above it, and mlruns/.

    Parameters
    ----------
    folder
        Folder for the records of Prefect, logs, and an example screen.
    prefect_port
        Port of the Prefect server and UI.
    mlflow_port
        Port of the MLflow server and UI.
    prefix
        Folder or s3:// address of releases to fit automatically.
    model
        Model for these fits.
    every
        When to look for releases, as a cron expression in UTC.
    """
    require_free(prefect_port, "--prefect-port")
    require_free(mlflow_port, "--mlflow-port")
    console = Console()
    with signals_as_interrupts(even_ignored=True), _folder_lock(folder), ExitStack() as down:
        try:
            refresh = {
                "SCREENBAYES_PREFIX": prefix,
                "SCREENBAYES_MODEL": model,
                "SCREENBAYES_REFRESH_CRON": every,
            }
            processes = _start_servers(folder, prefect_port, mlflow_port, refresh, console, down)
            while True:
                for process in processes:
                    process.require_alive()
                time.sleep(0.5)
        except KeyboardInterrupt:
            console.print("Stopping all servers")
    console.print("Stopped. All data are kept; the same command starts it again.")
    return DONE


def _start_servers(
    folder: Path,
    prefect_port: int,
    mlflow_port: int,
    refresh: dict[str, str],
    console: Console,
    down: ExitStack,
) -> list[Process]:
    here, folder, store = Path.cwd(), folder.resolve(), nearest_store()
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    prefect, mlflow = f"http://{HOST}:{prefect_port}", f"http://{HOST}:{mlflow_port}"
    environment = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"{prefect}/api",
        "MLFLOW_TRACKING_URI": mlflow,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight unused processes
        # In memory, a killed server would forget who holds a concurrency slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR",
        # Flows log what they do; the page of a run shows the state of each task.
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

    os.environ.update(environment)  # before Prefect is imported
    next_dates(refresh["SCREENBAYES_REFRESH_CRON"])  # before anything is started
    servers = [
        start("Prefect", "prefect", "server", "start", "--host", HOST, "--port", str(prefect_port)),
        start(
            "MLflow",
            "mlflow",
            "server",
            *("--host", HOST, "--port", str(mlflow_port), "--workers", "1"),
            # The store of plain `screenbayes fit`, which cannot read artifacts that only the
            # server can reach.
            *("--backend-store-uri", f"sqlite:///{store}"),
            *(
                "--no-serve-artifacts",
                "--default-artifact-root",
                store.with_name("mlruns").as_uri(),
            ),
        ),
    ]
    servers[0].wait_for(f"{prefect}/api/health")
    servers[1].wait_for(f"{mlflow}/health")
    register()
    servers.append(start("a worker", "prefect", "worker", "start", "--pool", POOL))
    example = _example_screen(folder / "example")

    console.print()
    lines = {
        "Trigger a fit": f"{prefect}/deployments/deployment/{_fit_screen_id()}/run",
        "Flow runs": f"{prefect}/runs",
        "Fits in MLflow": f"{mlflow}/#/experiments?{TRAINING_PAGES}",
        "Example screen": str(example),
        "Logs": str(logs),
    }
    if refresh["SCREENBAYES_PREFIX"]:
        lines["Next looks for releases"] = shown_dates(refresh["SCREENBAYES_REFRESH_CRON"])
    for what, where in lines.items():
        console.print(f"[bold]{what}:[/] {escape(where)}", soft_wrap=True)
    console.print("Ctrl-C stops all servers.")
    return servers


def _example_screen(folder: Path) -> Path:
    """Return the dataset file of a small screen with guides and replicates; write it if need be."""
    from model.simulation.release import simulate_release
    from tasks.write_simulation import DATASET_FILE, write_release

    if not (folder / DATASET_FILE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_release(simulate_release(Simulation(genes=40, cell_lines=20)), folder)
    return folder / DATASET_FILE


def _fit_screen_id() -> str:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return str(client.read_deployment_by_name("fit-screen/fit-screen").id)


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "serve.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AlreadyRunning(
            f"--folder: the workbench of {folder} is running already; use it, stop it, or choose "
            "another folder"
        ) from None
    with lock:
        yield

"""What a soak sees of its stack while it goes: flow runs, processes, memory, sizes.

Read straight from the databases, so that looking costs the servers nothing and works while one of
them is down. What is made of it is `tests.soak.checks` and `tests.soak.report`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.integration.stack import Stack

UNDER_WAY = ("PENDING", "RUNNING", "CANCELLING")
FLOW_RUNS = """
    SELECT run.id::text, flow.name AS flow, run.name, run.state_type, run.state_name, run.run_count,
           run.auto_scheduled, run.expected_start_time, run.start_time, run.end_time,
           run.parameters, run.idempotency_key
    FROM flow_run run JOIN flow ON flow.id = run.flow_id
"""


def asked(stack: Stack, database: str, question: str, *values: object) -> list[dict[str, Any]]:
    """Rows of a database of the stack; raises psycopg.Error while it is down."""
    port = stack.postgres_port
    where = f"host=127.0.0.1 port={port} user=postgres dbname={database} connect_timeout=3"
    with psycopg.connect(where, row_factory=dict_row, autocommit=True) as connection:
        return connection.execute(question, values).fetchall()


def flow_runs(stack: Stack, flow: str | None = None) -> list[dict[str, Any]]:
    """Flow runs that are more than an entry of the schedule for later."""
    begun = "WHERE (run.state_type <> 'SCHEDULED' OR run.run_count > 0 OR NOT run.auto_scheduled)"
    if flow is None:
        return asked(stack, "prefect", f"{FLOW_RUNS} {begun}")
    return asked(stack, "prefect", f"{FLOW_RUNS} {begun} AND flow.name = %s", flow)


def waiting_refreshes(stack: Stack) -> int:
    """Scheduled refreshes whose time has come, and that have not begun."""
    wanted = (
        "WHERE flow.name = 'refresh-releases' AND run.state_type = 'SCHEDULED' "
        "AND run.expected_start_time < now()"
    )
    return len(asked(stack, "prefect", f"{FLOW_RUNS} {wanted}"))


def ended_refreshes(stack: Stack) -> list[dict[str, Any]]:
    """The refreshes the schedule has started that have ended, in the order they ended."""
    found = [
        run
        for run in flow_runs(stack, "refresh-releases")
        if run["auto_scheduled"] and run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")
    ]
    return sorted(found, key=lambda run: run["end_time"])


def quiet(stack: Stack) -> bool:
    """Whether nothing is under way, and nothing but the schedule is to come."""
    busy = (
        "WHERE run.state_type IN ('PENDING', 'RUNNING', 'CANCELLING') "
        "OR (run.state_type = 'SCHEDULED' "
        "AND (NOT run.auto_scheduled OR run.expected_start_time < now()))"
    )
    return not asked(stack, "prefect", f"{FLOW_RUNS} {busy}")


def processes_of(flow: str, stack: Stack) -> Iterator[tuple[str, psutil.Process]]:
    """(flow run id, process) of the runs of a flow that are executed now."""
    at_work = {run["id"]: run for run in flow_runs(stack, flow) if run["state_type"] in UNDER_WAY}
    newest: dict[str, psutil.Process] = {}
    for process in psutil.process_iter(["environ"]):
        run_id = (process.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID", "")
        if run_id in at_work and (run_id not in newest or process.pid > newest[run_id].pid):
            newest[run_id] = process
    yield from newest.items()


def about_to_finish(stack: Stack) -> list[str]:
    """Flow runs of fits whose model is registered, and whose MLflow run is not finished.

    A moment of a fifth of a second.
    """
    question = (
        "SELECT tags.value AS flow_run FROM model_versions version "
        "JOIN runs run ON run.run_uuid = version.run_id "
        "JOIN tags ON tags.run_uuid = run.run_uuid AND tags.key = 'flow_run' "
        "WHERE run.status = 'RUNNING'"
    )
    return [row["flow_run"] for row in asked(stack, "mlflow", question)]


@dataclass(frozen=True)
class Sample:
    """One look at the stack, after a refresh."""

    refresh: int
    """So many scheduled refreshes have ended."""
    at: datetime
    seconds: float
    """From the start to the end of the refresh."""
    server: str
    pid: int
    memory_mb: float
    """Resident memory: of a server with all its processes, of the worker without those of runs."""
    files: int
    """Open file descriptors."""
    threads: int


def sampled(stack: Stack, refresh: int, seconds: float) -> list[Sample]:
    """Look at the memory of all that runs for long."""
    now = datetime.now(UTC)
    found = []
    for server, tree in ((stack.prefect, True), (stack.mlflow, True), (stack.worker, False)):
        with suppress(psutil.NoSuchProcess, AssertionError):
            process = psutil.Process(server.pid)
            all_of_it = [process, *(process.children(recursive=True) if tree else [])]
            found.append(
                Sample(
                    refresh,
                    now,
                    seconds,
                    server.name,
                    process.pid,
                    sum(each.memory_info().rss for each in all_of_it) / 2**20,
                    sum(each.num_fds() for each in all_of_it),
                    sum(each.num_threads() for each in all_of_it),
                )
            )
    return found


def database_sizes(stack: Stack) -> dict[str, float]:
    """MB by database."""
    question = (
        "SELECT datname, pg_database_size(datname) / 1048576.0 AS mb FROM pg_database "
        "WHERE datname IN ('prefect', 'mlflow')"
    )
    return {row["datname"]: float(row["mb"]) for row in asked(stack, "postgres", question)}

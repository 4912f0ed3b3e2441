"""Reads the state of a soak from the databases, which works while a server is down."""

from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.integration.stack import Stack

GOING = ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED")
# Without what the schedule has only planned.
FLOW_RUNS = """
    SELECT run.id::text, flow.name AS flow, run.name, run.state_type, run.state_name, run.run_count,
           run.auto_scheduled, run.start_time, run.end_time, run.parameters
    FROM flow_run run JOIN flow ON flow.id = run.flow_id
    WHERE NOT (run.auto_scheduled AND run.state_type = 'SCHEDULED' AND run.run_count = 0
               AND run.expected_start_time > now())
    ORDER BY run.end_time
"""
FITTED = """
    SELECT tags.value AS key FROM runs JOIN tags USING (run_uuid)
    WHERE tags.key = 'fit_key' AND runs.status = 'FINISHED'
"""
TAKEN_TURNS = "SELECT name, active_slots FROM concurrency_limit_v2 WHERE active_slots > 0"


def query(stack: Stack, database: str, question: str) -> list[dict[str, Any]]:
    """Rows of a database of the stack; raises psycopg.Error while it is down."""
    port = stack.postgres_port
    where = f"host=127.0.0.1 port={port} user=postgres dbname={database} connect_timeout=3"
    with psycopg.connect(where, row_factory=dict_row, autocommit=True) as connection:
        return connection.execute(question).fetchall()


def flow_runs(stack: Stack, *flows: str) -> list[dict[str, Any]]:
    """Runs of these flows or all, in the order of their ends."""
    runs = query(stack, "prefect", FLOW_RUNS)
    return [run for run in runs if not flows or run["flow"] in flows]


def processes_of(stack: Stack, *flows: str) -> list[tuple[str, psutil.Process]]:
    """(flow run id, process) of the runs of these flows that are being executed."""
    going = {run["id"] for run in flow_runs(stack, *flows) if run["state_type"] in GOING}
    newest: dict[str, psutil.Process] = {}
    for process in psutil.process_iter(["environ"]):
        run_id = (process.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID", "")
        if run_id in going and (run_id not in newest or process.pid > newest[run_id].pid):
            newest[run_id] = process
    return list(newest.items())

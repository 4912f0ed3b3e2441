"""`screenbayes deploy`: registers deployments and their infrastructure with a Prefect server.

`deployments/prefect.yaml` defines the deployments; this module creates the work pool, its queues
and the automation that detects dead processes.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, get_args

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.exit_codes import DONE
from schemas.errors import ExternalServiceError, UserError
from schemas.parameters import ModelName

POOL = "screenbayes"
HEARTBEAT_TIMEOUT = timedelta(seconds=90)
"""Time without a heartbeat (sent every 30 s) after which a flow run counts as dead."""
N_DATES = 3
"""Next dates of a schedule that are shown."""
AUTOMATION = "screenbayes dead processes"

_DEFAULTS = {
    "SCREENBAYES_PREFIX": "",
    "SCREENBAYES_MODEL": "m4_screen",
    "SCREENBAYES_REFRESH_CRON": "0 3 * * *",
    "SCREENBAYES_SETTLE_SECONDS": "300",
    "SCREENBAYES_FITS_AT_ONCE": "2",  # of different datasets
}


class NotDeployable(ExternalServiceError):
    """The server refused a deployment."""


class BadSetting(UserError):
    """An environment variable is missing or invalid."""


def deploy() -> int:
    """Register work pool, deployments, schedules and automations with a Prefect server.

    The server is the one at PREFECT_API_URL; run it again to update everything. Reads the variables
    SCREENBAYES_PREFIX (location of releases; without it there is no schedule), SCREENBAYES_MODEL,
    SCREENBAYES_REFRESH_CRON, SCREENBAYES_SETTLE_SECONDS and SCREENBAYES_FITS_AT_ONCE.
    """
    register()
    Console().print(_table())
    return DONE


def register() -> None:
    """Create or update everything; raise BadSetting or NotDeployable."""
    if not os.environ.get("PREFECT_API_URL"):
        raise BadSetting(
            "PREFECT_API_URL: expected the address of a Prefect server, such as "
            "http://127.0.0.1:4200/api, got none; set it, or run `screenbayes serve`, which "
            "starts a server"
        )
    described = _deployment_file()  # before changing anything on the server
    _make_pool()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prefect.yaml"
        path.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
        command = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(path)]
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env={**os.environ, **_settings()},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise NotDeployable(f"`{' '.join(command[:-1])}` failed: {done.stdout}{done.stderr}")
    _create_crash_automation()


def _deployment_file() -> dict[str, Any]:
    """Return the content of prefect.yaml; without a prefix, omit what needs one."""
    with as_file(files("deployments").joinpath("prefect.yaml")) as path:
        described: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = _settings()
    next_dates(settings["SCREENBAYES_REFRESH_CRON"])
    _require_model(settings["SCREENBAYES_MODEL"])
    for deployment in described["deployments"]:
        if deployment["name"] == "refresh-releases":
            parameters = deployment["parameters"]
            # As a number: values filled into the file would be text.
            parameters["settle_seconds"] = _whole(settings, "SCREENBAYES_SETTLE_SECONDS")
            if not settings["SCREENBAYES_PREFIX"]:
                del parameters["prefix"], deployment["schedules"], deployment["triggers"]
    return described


def _settings() -> dict[str, str]:
    return {name: os.environ.get(name) or default for name, default in _DEFAULTS.items()}


def _whole(settings: dict[str, str], name: str) -> int:
    if not settings[name].isdecimal():
        raise BadSetting(f"{name}: expected a whole number, got {settings[name]!r}; correct it")
    return int(settings[name])


def next_dates(cron: str) -> list[datetime]:
    """Return the next three dates of a schedule in UTC; raise BadSetting if it is no such schedule.

    A sixth field would be seconds: 60 runs a minute.
    """
    from prefect.server.schemas.schedules import CronSchedule

    try:
        if len(cron.split()) != 5 and not cron.startswith("@"):
            raise ValueError
        return [*asyncio.run(CronSchedule(cron=cron, timezone="UTC").get_dates(N_DATES))]
    except ValueError:
        raise BadSetting(
            "SCREENBAYES_REFRESH_CRON (`--every` of `serve`): expected minute, hour, day, month "
            "and weekday of a date that comes, such as '0 3 * * *' for 3:00 UTC every day, got "
            f"{cron!r}; correct it"
        ) from None


def shown_dates(cron: str) -> str:
    """Return the next dates of a schedule as text, with their time zone."""
    dates = (f"{date:%a %d %b %Y %H:%M}" for date in next_dates(cron))
    return f"{', '.join(dates)} (UTC)"


def _require_model(model: str) -> None:
    if model not in get_args(ModelName):
        raise BadSetting(
            f"SCREENBAYES_MODEL (`--model` of `serve`): expected one of "
            f"{', '.join(get_args(ModelName))}, got {model!r}; correct it"
        )


def _make_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    limit = _whole(_settings(), "SCREENBAYES_FITS_AT_ONCE")
    with get_client(sync_client=True) as client:
        with suppress(ObjectAlreadyExists):  # keep its settings
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        queues = {queue.name: queue for queue in client.read_work_queues(work_pool_name=POOL)}
        if "fits" not in queues:
            queue = client.create_work_queue(name="fits", work_pool_name=POOL)
        else:
            queue = queues["fits"]
        client.update_work_queue(queue.id, concurrency_limit=limit)


def _create_crash_automation() -> None:
    """Create the automation that sets flow runs Crashed when their heartbeats stop."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ends = ("Completed", "Failed", "Cancelled", "Crashed", "Refused", "Pending", "Scheduled")
    watch = AutomationCore(
        name=AUTOMATION,
        description="Sets a flow run Crashed if its heartbeats stop, so that it is rescheduled.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{end}" for end in ends)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=HEARTBEAT_TIMEOUT,
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, message="Its process sends no heartbeats.")
        ],
    )
    with get_client(sync_client=True) as client:
        existing = client.read_automations_by_name(AUTOMATION)
        if existing:
            client.update_automation(existing[0].id, watch)
        else:
            client.create_automation(watch)


def _table() -> Table:
    """Return a table of the deployments with work queue and schedule."""
    from prefect.client.orchestration import get_client

    table = Table(title="Deployed", title_justify="left", show_edge=False)
    for column in ("deployment", "work queue", "schedule", "next looks"):
        table.add_column(column)
    with get_client(sync_client=True) as client:
        for deployment in sorted(client.read_deployments(), key=lambda found: found.name):
            crons = [getattr(each.schedule, "cron", "") for each in deployment.schedules]
            table.add_row(
                escape(deployment.name),
                escape(str(deployment.work_queue_name)),
                ", ".join(crons) or "on demand",
                "; ".join(map(shown_dates, filter(None, crons))),
            )
    return table

"""`screenbayes deploy`: everything a Prefect server has to know, made or brought up to date.

What is deployed is `deployments/prefect.yaml`; here are the parts a file cannot make: the work
pool with its queues, and the automation that notices a dead process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.exit_codes import DONE
from schemas.errors import EnvironmentTrouble, UserError
from schemas.parameters import ModelName

POOL = "screenbayes"
SILENCE = timedelta(seconds=90)
"""A flow run without a heartbeat for so long has lost its process (one is sent every 30 s)."""
WATCH = "screenbayes dead processes"

_DEFAULTS = {
    "SCREENBAYES_PREFIX": "",
    "SCREENBAYES_MODEL": "m4",
    "SCREENBAYES_REFRESH_CRON": "0 3 * * *",
    "SCREENBAYES_SETTLE_SECONDS": "300",
    "SCREENBAYES_FITS_AT_ONCE": "2",  # of different datasets
}


class NotDeployable(EnvironmentTrouble):
    """The server refused a deployment."""


class BadSetting(UserError):
    """A setting of the environment that is missing or cannot be used."""


def deploy() -> int:
    """Register work pool, deployments, schedules and automations with the Prefect server.

    The server is the one at PREFECT_API_URL. Running it again brings everything up to date. Read
    from the environment: SCREENBAYES_PREFIX (where releases land; without it there is no schedule),
    SCREENBAYES_MODEL (what they are fitted with), SCREENBAYES_REFRESH_CRON,
    SCREENBAYES_SETTLE_SECONDS and SCREENBAYES_FITS_AT_ONCE.
    """
    register()
    Console().print(_table())
    return DONE


def register() -> None:
    """Make or update everything; raises BadSetting, NotDeployable."""
    if not os.environ.get("PREFECT_API_URL"):
        raise BadSetting(
            "PREFECT_API_URL: expected the address of a Prefect server, such as "
            "http://127.0.0.1:4200/api, got none; set it, or run `screenbayes serve`, which brings "
            "a server"
        )
    described = _described()  # before anything is changed on the server
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
    _watch_for_dead_processes()


def _described() -> dict[str, Any]:
    """Return what prefect.yaml says; without a prefix, without what needs one."""
    with as_file(files("deployments").joinpath("prefect.yaml")) as path:
        described: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = _settings()
    _require_cron(settings["SCREENBAYES_REFRESH_CRON"])
    _require_model(settings["SCREENBAYES_MODEL"])
    for deployment in described["deployments"]:
        if deployment["name"] == "refresh-releases":
            parameters = deployment["parameters"]
            # As a number: what is filled into the file is text.
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


def _require_cron(cron: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValidationError:
        raise BadSetting(
            "SCREENBAYES_REFRESH_CRON (`--every` of `serve`): expected minute, hour, day, month "
            f"and weekday, such as '0 3 * * *' for three in the morning, got {cron!r}; correct it"
        ) from None


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
        with suppress(ObjectAlreadyExists):  # and keep whatever an engineer has set on it
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        queues = {queue.name: queue for queue in client.read_work_queues(work_pool_name=POOL)}
        if "fits" not in queues:
            queue = client.create_work_queue(name="fits", work_pool_name=POOL)
        else:
            queue = queues["fits"]
        client.update_work_queue(queue.id, concurrency_limit=limit)


def _watch_for_dead_processes() -> None:
    """Mark flow runs Crashed whose heartbeats have stopped; nobody else notices a dead machine."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ends = ("Completed", "Failed", "Cancelled", "Crashed", "Refused", "Pending", "Scheduled")
    watch = AutomationCore(
        name=WATCH,
        description="A flow run whose heartbeats stopped is marked Crashed, and can be taken up.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{end}" for end in ends)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message="Its process has given no sign of life."
            )
        ],
    )
    with get_client(sync_client=True) as client:
        there = client.read_automations_by_name(WATCH)
        if there:
            client.update_automation(there[0].id, watch)
        else:
            client.create_automation(watch)


def _table() -> Table:
    """Return what is deployed, and when each runs next, for the terminal."""
    from prefect.client.orchestration import get_client

    table = Table(title="Deployed", title_justify="left", show_edge=False)
    for column in ("deployment", "work queue", "schedule"):
        table.add_column(column)
    with get_client(sync_client=True) as client:
        for deployment in sorted(client.read_deployments(), key=lambda found: found.name):
            crons = [getattr(each.schedule, "cron", "") for each in deployment.schedules]
            table.add_row(
                escape(deployment.name),
                escape(str(deployment.work_queue_name)),
                ", ".join(crons) or "on demand",
            )
    return table

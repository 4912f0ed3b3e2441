"""`screenbayes doctor`: looks at the surroundings, and says what to mend. Changes nothing.

The looks are `tasks.surroundings`; here is that at Prefect, and the table.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.deploy import POOL
from deployments.environment import VARIABLES
from deployments.exit_codes import DONE, TROUBLE
from deployments.prefect_ready import SERVER_PATIENCE, require_prefect
from schemas.surroundings import Looked

MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "trouble": "[red bold]trouble[/]"}


def doctor() -> int:
    """Look at everything a fit needs around it: packages, machine, disk, servers, bucket.

    Says what was found and what to do. Nothing is changed. The exit code is 3 where something will
    fail, 0 where at most warnings are left.
    """
    from deployments.terminal import progress_bars
    from tasks.progress import tell

    with progress_bars(Console(stderr=True)):
        tell("Looking at the surroundings")
        found = surroundings()
    table = Table(box=None)
    for heading in ("", "what", "found"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(MARKS[one.status], one.what, escape(one.found))
        if one.mend:
            table.add_row("", "", f"[bold]mend:[/] {escape(one.mend)}")
    console = Console()
    console.print(table)
    counts = {status: sum(one.status == status for one in found) for status in MARKS}
    console.print(
        f"\n{counts['trouble']} trouble(s), {counts['warning']} warning(s), {counts['ok']} ok"
    )
    return TROUBLE if counts["trouble"] else DONE


def surroundings() -> list[Looked]:
    """Return everything that was looked at, in the order of the table."""
    from tasks import surroundings as looks

    every: dict[str, looks.Look] = {
        "Python": looks.look_at_python,
        "packages": looks.look_at_packages,
        "machine": looks.look_at_machine,
        "disk": looks.look_at_disk,
        "variables": lambda: looks.look_at_variables(VARIABLES),
        "MLflow": looks.look_at_mlflow,
        "Prefect": look_at_prefect,
        "releases": looks.look_at_bucket,
    }
    return [one for what, look in every.items() for one in looks.looked_at(what, look)]


def look_at_prefect() -> Iterator[Looked]:
    """Whether flows can be begun; at a server also what is deployed, and who would run it."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    require_prefect()
    address = PREFECT_API_URL.value()
    if address is None:
        yield Looked(
            what="Prefect", status="ok", found="PREFECT_API_URL is not set: flows run in-process"
        )
        return
    yield Looked(what="Prefect", status="ok", found=address)
    with get_client(httpx_settings={"timeout": SERVER_PATIENCE}, sync_client=True) as client:
        here = {one.name: one for one in client.read_deployments(limit=200)}
        pools = {pool.name for pool in client.read_work_pools()}
        if POOL not in pools or "fit-screen" not in here:
            yield Looked(
                what="deployments",
                status="warning",
                found=f"what ScreenBayes runs is not at this server ({len(here)} deployments)",
                mend="run `screenbayes deploy`",
            )
            return
        yield Looked(what="deployments", status="ok", found=", ".join(sorted(here)))
        workers = client.request(
            "POST",
            "/work_pools/{work_pool_name}/workers/filter",
            path_params={"work_pool_name": POOL},
            json={},
        ).json()
        online = [one["name"] for one in workers if one["status"] == "ONLINE"]
        yield Looked(
            what="workers",
            status="ok" if online else "warning",
            found=f"{len(online)} online" if online else "none online: what is triggered waits",
            mend="" if online else f"`prefect worker start --pool {POOL} --type process`",
        )

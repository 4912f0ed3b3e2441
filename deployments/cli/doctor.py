"""`screenbayes doctor`: checks what a fit needs, and reports remedies. Changes nothing.

Checks are in `tasks.health`, except that of Prefect.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.exit_codes import DONE, SERVICE_ERROR
from deployments.server.environment import VARIABLES
from deployments.server.preflight import SERVER_PATIENCE, require_prefect
from deployments.server.register import POOL
from schemas.health import HealthCheck

MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "trouble": "[red bold]trouble[/]"}


def doctor() -> int:
    """Check the environment of fits: packages, machine, disk, servers, bucket.

    Prints what was found and what to do; changes nothing. The exit code is 3 if something will
    fail, else 0.
    """
    from deployments.cli.terminal import progress_bars
    from tasks.runtime.progress import log_info

    with progress_bars(Console(stderr=True)):
        log_info("Checking the environment")
        found = run_checks()
    table = Table(box=None)
    for heading in ("", "what", "found"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(MARKS[one.status], one.what, escape(one.found))
        if one.remedy:
            table.add_row("", "", f"[bold]remedy:[/] {escape(one.remedy)}")
    console = Console()
    console.print(table)
    counts = {status: sum(one.status == status for one in found) for status in MARKS}
    console.print(
        f"\n{counts['trouble']} trouble(s), {counts['warning']} warning(s), {counts['ok']} ok"
    )
    return SERVICE_ERROR if counts["trouble"] else DONE


def run_checks() -> list[HealthCheck]:
    """Return the results of all checks, in the order of the table."""
    from tasks import health

    checks: dict[str, health.Check] = {
        "Python": health.check_python,
        "packages": health.check_packages,
        "machine": health.check_machine,
        "disk": health.check_disk,
        "variables": lambda: health.check_variables(VARIABLES),
        "MLflow": health.check_mlflow,
        "Prefect": check_prefect,
        "releases": health.check_bucket,
    }
    return [one for what, check in checks.items() for one in health.run_check(what, check)]


def check_prefect() -> Iterator[HealthCheck]:
    """Check that flows can start; at a server, also deployments and workers."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    require_prefect()
    address = PREFECT_API_URL.value()
    if address is None:
        yield HealthCheck(
            what="Prefect", status="ok", found="PREFECT_API_URL is not set: flows run in-process"
        )
        return
    yield HealthCheck(what="Prefect", status="ok", found=address)
    with get_client(httpx_settings={"timeout": SERVER_PATIENCE}, sync_client=True) as client:
        here = {one.name: one for one in client.read_deployments(limit=200)}
        pools = {pool.name for pool in client.read_work_pools()}
        if POOL not in pools or "fit-screen" not in here:
            yield HealthCheck(
                what="deployments",
                status="warning",
                found=f"ScreenBayes is not deployed at this server ({len(here)} deployments)",
                remedy="run `screenbayes deploy`",
            )
            return
        yield HealthCheck(what="deployments", status="ok", found=", ".join(sorted(here)))
        workers = client.request(
            "POST",
            "/work_pools/{work_pool_name}/workers/filter",
            path_params={"work_pool_name": POOL},
            json={},
        ).json()
        online = [one["name"] for one in workers if one["status"] == "ONLINE"]
        yield HealthCheck(
            what="workers",
            status="ok" if online else "warning",
            found=f"{len(online)} online" if online else "none online: triggered runs wait",
            remedy="" if online else f"`prefect worker start --pool {POOL} --type process`",
        )

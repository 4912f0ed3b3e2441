"""What commands that run a flow share: progress, and a Prefect server where they need one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from rich.console import Console

# For the docstrings of these classes Pydantic searches all modules imported so far: few, here, and
# among them not those of `_forget_unloaded_jax`, which it would load.
import schemas.dataset
import schemas.reports
import schemas.trace  # noqa: F401
from deployments.cli.terminal import progress_bars
from deployments.server.embedded import embedded_server, is_configured
from deployments.server.preflight import require_prefect

if TYPE_CHECKING:
    from model.fit import FitResults

STARTING = "starting"


@contextmanager
def flow_session(
    on_result: Callable[[FitResults], None] = lambda results: None,
) -> Iterator[Callable[[], None]]:
    """Provide a Prefect server and show progress during the block; yield a function that waits.

    The server comes up while the block imports the flow: call the function after that. `on_result`
    prints the results of a fit before they are drawn and tracked.

    Raises PrefectUnavailable; the function raises EmbeddedServerFailed.
    """
    with progress_bars(Console(stderr=True), on_result) as shown:
        shown.log_info("Starting Prefect")
        shown.progress(STARTING, 0, None)
        with embedded_server() as wait:

            def ready() -> None:
                _forget_unloaded_jax()
                wait()
                shown.progress(STARTING, 1, 1)

            yield ready


def _forget_unloaded_jax() -> None:
    """Drop the modules that ArviZ has prepared to load at their first use, until they are imported.

    SciPy takes them for imported, and loads JAX to compare its arrays with ours.
    """
    for name in ("jax", "numpyro"):
        if type(sys.modules.get(name, sys)) is not ModuleType:
            del sys.modules[name]


@contextmanager
def recorded_session(stage: str) -> Iterator[bool]:
    """Show progress of `stage` during the block; yield whether a Prefect server is configured.

    It records the flow then. Where none is, commands that orchestrate nothing call what their flow
    calls, and start no server. Raises PrefectUnavailable.
    """
    with progress_bars(Console(stderr=True)) as shown:
        shown.progress(stage, 0, None)
        is_recorded = is_configured()
        if is_recorded:
            require_prefect()
        yield is_recorded
        shown.progress(stage, 1, 1)

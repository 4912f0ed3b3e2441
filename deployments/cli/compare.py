"""The command `screenbayes compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.cli.exit_codes import DONE
from deployments.cli.options import FLAT, RUN_NAMES, require_named, setting
from deployments.server.environment import interruptible_flow
from schemas.comparison import ComparisonSettings


@FLAT
class ComparisonOptions(ComparisonSettings):
    """Settings of a comparison as options."""

    lfsr_max: Annotated[float, Parameter(name="--lfsr")] = setting(ComparisonSettings, "lfsr_max")


def compare(
    run_a: str,
    run_b: str,
    *,
    dataset: str = "",
    settings: ComparisonOptions = ComparisonOptions(),
    out: Path | None = None,
) -> int:
    """Compare two fits in MLflow: data, parameters, genes, hits.

    Parameters
    ----------
    run_a
        Fit A: the id of its run or the first characters of it, latest, champion, challenger, or a
        release (its newest fit).
    run_b
        Fit B, named likewise; differences are B - A.
    dataset
        Name of the dataset; needed if the store has several and the fit is not named by id.
    out
        Folder for the tables comparison.* (by gene) and cell_lines.*, which MLflow stores too.
    """
    from deployments.cli.terminal import progress_bars
    from tasks.reports.comparison import comparison_markdown
    from tasks.runtime.files import require_folder, write_atomic
    from tasks.runtime.progress import log_info
    from tasks.tracking.find import run_id_of

    require_named(RUN_NAMES, run_a, run_b)
    if out is not None:
        require_folder(out)  # before computing
    for name in (run_a, run_b):
        run_id_of(name, dataset)  # before Prefect starts, which takes longer
    with progress_bars(Console(stderr=True)):
        log_info("Starting Prefect")
        from flows.compare_runs import compare_runs

        with interruptible_flow():
            outcome = compare_runs(run_a, run_b, settings, dataset)
    console = Console()
    found = outcome.found
    console.print(Markdown(comparison_markdown(found.comparison, found.genes)))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        tables = found.tables()
        for name, content in tables.items():
            write_atomic(out / name, content)
        console.print(f"Written to {escape(str(out))}: {', '.join(tables)}")
    console.print(f"[bold]View it:[/bold] {escape(outcome.run_location)}", soft_wrap=True)
    return DONE

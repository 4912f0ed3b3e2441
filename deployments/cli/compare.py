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
from deployments.cli.session import recorded_session
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
    from tasks.runtime.files import require_folder, write_atomic

    require_named(RUN_NAMES, run_a, run_b)
    if out is not None:
        require_folder(out)  # before computing
    with recorded_session("comparing") as is_recorded:
        from flows.compare_runs import compare_runs, compare_tracked
        from tasks.reports.comparison import comparison_markdown

        run = compare_runs if is_recorded else compare_tracked
        outcome = run(run_a, run_b, settings, dataset)
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

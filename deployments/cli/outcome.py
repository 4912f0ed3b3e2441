"""Prints the results and the run of a fit on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.cli.exit_codes import DONE, VERDICT_FAIL

if TYPE_CHECKING:
    from flows.fit_pipeline import FitOutcome
    from model.fit import FitResults

VERDICT_COLOURS = {"pass": "green", "review": "yellow", "fail": "red", "failed": "red"}
"""Colour of each verdict, and of a run that failed."""


def print_results(results: FitResults) -> None:
    """Print the results of a fit and its verdict."""
    from tasks.reports.fit import result_markdown

    console, status = Console(), results.verdict.status
    console.print(Markdown(result_markdown(results)))
    console.print(f"\n[bold]Verdict:[/bold] [{VERDICT_COLOURS[status]} bold]{status}[/]")


def print_run(outcome: FitOutcome) -> int:
    """Print the run of a fit that was tracked or reused; return the exit code of its verdict."""
    console = Console()
    console.print(f"[bold]MLflow run:[/bold] {outcome.run_id}")
    console.print(f"[bold]View it:[/bold] {escape(outcome.run_location)}", soft_wrap=True)
    failed = outcome.results is not None and outcome.results.verdict.status == "fail"
    return VERDICT_FAIL if failed else DONE

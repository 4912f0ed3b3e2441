"""Prints a finished or imported fit on the terminal, and returns its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.cli.exit_codes import DONE, VERDICT_FAIL

if TYPE_CHECKING:
    from flows.fit_pipeline import FitOutcome


_COLOURS = {"pass": "green", "review": "yellow", "fail": "red"}


def print_fit_result(outcome: FitOutcome) -> int:
    """Print result, verdict and run; return the exit code of the verdict.

    Of a fit that was reused, the run.
    """
    from tasks.reports.fit import result_markdown

    console, status = Console(), ""
    if outcome.results is not None:
        status = outcome.results.verdict.status
        console.print(Markdown(result_markdown(outcome.results)))
        console.print(f"\n[bold]Verdict:[/bold] [{_COLOURS[status]} bold]{status}[/]")
    console.print(f"[bold]MLflow run:[/bold] {outcome.run_id}")
    console.print(f"[bold]View it:[/bold] {escape(outcome.run_location)}", soft_wrap=True)
    return VERDICT_FAIL if status == "fail" else DONE

"""Prints a finished or imported fit on the terminal, and returns its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from deployments.cli.exit_codes import DONE, VERDICT_FAIL

if TYPE_CHECKING:
    from flows.fit_pipeline import FitOutcome
    from model.fit import FitResults


def print_fit_header(results: FitResults, done: str) -> None:
    """Print model, size and exclusions; `done` is the verb, such as `Fitted`."""
    from deployments.cli.terminal import exclusions_table, preparation_line

    console, preparation = Console(), results.preparation
    model = results.parameters.model
    console.print(f"{done} [bold]{model}[/] to {preparation_line(preparation)}.")
    if preparation.losses:
        console.print()
        console.print(exclusions_table(preparation))


def print_fit_result(outcome: FitOutcome, results: FitResults) -> int:
    """Print genes, verdict and run; return the exit code of the verdict."""
    from deployments.cli.terminal import gene_table, verdict_lines
    from tasks.reports.fit import summarise_calls

    console = Console()
    console.print()
    console.print(gene_table(results.effects, results.convergence.n_draws))
    console.print()
    for line in summarise_calls(results):
        console.print(escape(line), highlight=False)
    console.print()
    for line in verdict_lines(results.verdict, results.convergence):
        console.print(line)
    console.print()
    print_run_location(outcome)
    return VERDICT_FAIL if results.verdict.status == "fail" else DONE


def print_run_location(outcome: FitOutcome) -> None:
    """Print the id of the run and its address."""
    console = Console()
    console.print(f"[bold]MLflow run:[/bold] {outcome.run_id}")
    console.print(f"[bold]View it:[/bold] {escape(outcome.run_location)}", soft_wrap=True)

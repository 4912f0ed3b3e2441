"""What a terminal shows of a fit that is done, made here or imported, and its exit code.

The tables themselves are `deployments.terminal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from deployments.exit_codes import DONE, VERDICT_FAIL

if TYPE_CHECKING:
    from flows.tracked_posterior import FitOutcome
    from tasks.artifacts import FitResults


def begin_result(results: FitResults, done: str) -> None:
    """Print what was fitted to what, and what was left out; `done` is the verb, `Fitted`."""
    from deployments.terminal import losses_table, preparation_line

    console, preparation = Console(), results.preparation
    model = results.parameters.model
    console.print(f"{done} [bold]{model}[/] to {preparation_line(preparation)}.")
    if preparation.losses:
        console.print()
        console.print(losses_table(preparation))


def conclude(outcome: FitOutcome, results: FitResults) -> int:
    """Print genes, verdict and where to look; return the exit code the verdict asks for."""
    from deployments.terminal import gene_table, verdict_lines
    from tasks.render_result import said_of_genes

    console = Console()
    console.print()
    console.print(gene_table(results.effects, results.convergence.n_draws))
    console.print()
    for line in said_of_genes(results):
        console.print(escape(line), highlight=False)
    console.print()
    for line in verdict_lines(results.verdict, results.convergence):
        console.print(line)
    console.print()
    print_where(outcome)
    return VERDICT_FAIL if results.verdict.status == "fail" else DONE


def print_where(outcome: FitOutcome) -> None:
    """Print which run it is and where it can be looked at."""
    console = Console()
    console.print(f"[bold]MLflow run:[/bold] {outcome.run_id}")
    console.print(f"[bold]Look at it:[/bold] {escape(outcome.where_to_look)}", soft_wrap=True)

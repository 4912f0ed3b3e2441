"""The command `screenbayes promote`."""

from __future__ import annotations

from typing import Literal

from rich.console import Console
from rich.markup import escape

from deployments.cli.exit_codes import DONE, REFUSED
from deployments.cli.options import RUN_NAMES, OptionError, require_named
from deployments.server.environment import interruptible_flow
from schemas.promotion import GateSettings

DEFAULTS = GateSettings()


def promote(
    run: str,
    *,
    dataset: str = "",
    verdict: Literal["pass", "review"] = DEFAULTS.verdict,
    unexplained_losses: int = DEFAULTS.max_unexplained_losses,
    lfsr: float = DEFAULTS.lfsr_max,
    practical_difference: float = DEFAULTS.practical_difference,
) -> int:
    """Make a fit the champion of its dataset if it meets the criteria of the gate.

    The exit code is 0 if the fit is the champion now, 1 if it is refused.

    Parameters
    ----------
    run
        The fit: the id of its run, latest, champion, challenger, or a release (its newest fit).
    dataset
        Name of the dataset; needed if the store has several and the fit is not named by id.
    verdict
        Lowest verdict to accept.
    unexplained_losses
        How many hits of the champion may be lost without an explanation. To roll back to an earlier
        champion, give the number that the gate prints.
    lfsr
        Genes with a local false sign rate of at most this are hits.
    practical_difference
        A slope changes if it moves by more than this (log fold change per SD of RNA).
    """
    from deployments.cli.terminal import gate_table, lost_hits_table, progress_bars
    from tasks.reports.promotion import describe_outcome
    from tasks.runtime.progress import log_info

    require_named(RUN_NAMES, run)
    if not (practical_difference > 0 and 0 < lfsr < 1 and unexplained_losses >= 0):
        raise OptionError(
            "expected --practical-difference above 0, --lfsr between 0 and 1 and "
            f"--unexplained-losses of at least 0, got {practical_difference}, {lfsr} and "
            f"{unexplained_losses}"
        )
    settings = GateSettings(
        verdict=verdict,
        max_unexplained_losses=unexplained_losses,
        lfsr_max=lfsr,
        practical_difference=practical_difference,
    )
    with progress_bars(Console(stderr=True)):
        log_info("Starting Prefect")
        from flows.promote_fit import promote_fit

        with interruptible_flow():
            outcome = promote_fit(run, settings, dataset)
    decision = outcome.decision
    console = Console()
    if decision.conditions:
        console.print(gate_table(decision))
        console.print()
    if decision.lost_hits:
        console.print(lost_hits_table(decision))
        console.print()
    colour = "green" if decision.passed else "red"
    console.print(f"[bold]Gate:[/bold] [{colour} bold]{decision.in_a_word}[/]")
    console.print(escape(describe_outcome(decision)), soft_wrap=True)
    console.print(f"[bold]View it:[/bold] {escape(outcome.run_location)}", soft_wrap=True)
    return DONE if decision.passed else REFUSED

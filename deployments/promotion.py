"""The command `screenbayes promote`. What the gate asks is `model.gate`."""

from __future__ import annotations

from typing import Literal

from rich.console import Console
from rich.markup import escape

from deployments.environment import embedded_server_may_die
from deployments.exit_codes import DONE, REFUSED
from deployments.options import RUN_NAMES, OptionError, require_named
from schemas.gate import GateSettings

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
    """Make a fit the champion of its dataset, if the gate allows it.

    The champion is the fit others are held against, and the version of the registered model that
    programs load. Exit code 0: the fit is the champion now; 1: the gate refused it.

    Parameters
    ----------
    run
        The fit: the id of its run, latest, challenger, champion, or a release, whose newest fit is
        taken.
    dataset
        Of which dataset; needed where the fit is not named by an id and there are several.
    verdict
        Verdict the fit must have at least.
    unexplained_losses
        So many hits of the champion may be lost with nothing that explains it. To go back to an
        earlier champion, the number the gate names.
    lfsr
        Genes with a local false sign rate of at most this are hits.
    practical_difference
        A slope that moves by less than this, log fold change per SD of RNA, has not changed.
    """
    from deployments.terminal import gate_table, losses_of_hits_table, progress_bars
    from tasks.progress import tell
    from tasks.render_gate import outcome as in_a_sentence

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
        tell("Starting Prefect")
        from flows.promote_fit import promote_fit

        with embedded_server_may_die():
            outcome = promote_fit(run, settings, dataset)
    decision = outcome.decision
    console = Console()
    if decision.conditions:
        console.print(gate_table(decision))
        console.print()
    if decision.lost_hits:
        console.print(losses_of_hits_table(decision))
        console.print()
    colour = "green" if decision.passed else "red"
    console.print(f"[bold]Gate:[/bold] [{colour} bold]{decision.in_a_word}[/]")
    console.print(escape(in_a_sentence(decision)), soft_wrap=True)
    console.print(f"[bold]Look at it:[/bold] {escape(outcome.where_to_look)}", soft_wrap=True)
    return DONE if decision.passed else REFUSED

"""The command `screenbayes promote`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.cli.exit_codes import DONE, REFUSED
from deployments.cli.options import FLAT, HIDDEN, RUN_NAMES, require_named, setting
from deployments.cli.session import recorded_session
from schemas.promotion import GateSettings


@FLAT
class GateOptions(GateSettings):
    """Criteria of the gate that have options."""

    max_unexplained_losses: Annotated[int, Parameter(name="--unexplained-losses")] = setting(
        GateSettings, "max_unexplained_losses"
    )
    min_calibration_simulations: Annotated[int, HIDDEN] = setting(
        GateSettings, "min_calibration_simulations"
    )
    lfsr_max: Annotated[float, Parameter(name="--lfsr")] = setting(GateSettings, "lfsr_max")


def promote(run: str, *, dataset: str = "", settings: GateOptions = GateOptions()) -> int:
    """Make a fit the champion of its dataset if it meets the criteria of the gate.

    The exit code is 0 if the fit is the champion now, 1 if it is refused.

    Parameters
    ----------
    run
        The fit: the id of its run or the first characters of it, latest, champion, challenger, or a
        release (its newest fit).
    dataset
        Name of the dataset; needed if the store has several and the fit is not named by id.
    """
    require_named(RUN_NAMES, run)
    with recorded_session("evaluating") as is_recorded:
        from flows.promote_fit import promote_fit, promote_tracked
        from tasks.reports.promotion import gate_markdown

        outcome = (promote_fit if is_recorded else promote_tracked)(run, settings, dataset)
    decision = outcome.decision
    console = Console()
    console.print(Markdown(gate_markdown(decision)))
    colour = "green" if decision.passed else "red"
    console.print(f"\n[bold]Gate:[/bold] [{colour} bold]{decision.outcome}[/]")
    console.print(f"[bold]View it:[/bold] {escape(outcome.run_location)}", soft_wrap=True)
    return DONE if decision.passed else REFUSED

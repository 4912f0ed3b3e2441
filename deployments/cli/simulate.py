"""The command `screenbayes simulate`: writes a simulated release to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.markup import escape

from deployments.cli.exit_codes import DONE
from deployments.cli.options import FLAT, HIDDEN
from schemas.simulation import Simulation, TrueValues


@FLAT
class SimulationOptions(Simulation):
    """Settings of a simulated screen that have options."""

    true_values: Annotated[TrueValues | None, HIDDEN] = None


def simulate(*, out: Path, settings: SimulationOptions = SimulationOptions()) -> int:
    """Write a simulated screen with known true values, in the layout of a DepMap release.

    Writes the tables, truth.csv (the true value of each parameter, named as in summary.csv) and
    dataset.yaml, the input of fit.

    Parameters
    ----------
    out
        Empty or new folder to write into.
    """
    from deployments.cli.terminal import progress_bars
    from model.simulation.release import simulate_release
    from tasks.runtime.files import require_empty
    from tasks.runtime.progress import Progress
    from tasks.write_simulation import write_release

    require_empty(out)  # before simulating
    with progress_bars(Console(stderr=True)), Progress("writing guides") as progress:
        dataset = write_release(simulate_release(settings), out, progress)
    console = Console()
    genes, cell_lines = settings.genes, settings.cell_lines
    console.print(
        f"Simulated {genes * settings.guides:,} guides of {genes:,} genes x "
        f"{cell_lines * settings.replicates:,} sequences of {cell_lines:,} cell lines under "
        f"[bold]{settings.model}[/]; the true values are in truth.csv."
    )
    console.print(f"[bold]Fit it:[/bold] screenbayes fit {escape(str(dataset))}", soft_wrap=True)
    return DONE

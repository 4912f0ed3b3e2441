"""The command `screenbayes simulate`: options to a simulated release on disk.

What can be set beyond the command line is `schemas.simulation`; the other commands are
`deployments.command_line`.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deployments.exit_codes import DONE
from deployments.options import checked
from schemas.parameters import ModelName
from schemas.simulation import Simulation

DEFAULTS = Simulation()


def simulate(
    *,
    out: Path,
    model: ModelName = DEFAULTS.model,
    genes: int = DEFAULTS.genes,
    cell_lines: int = DEFAULTS.cell_lines,
    guides: int = DEFAULTS.guides,
    replicates: int = DEFAULTS.replicates,
    missing: float = DEFAULTS.missing,
    seed: int = DEFAULTS.seed,
) -> int:
    """Write a simulated screen with known truth, in the layout of a DepMap release.

    Writes the tables, truth.csv (the true value of each parameter, named as in summary.csv) and
    dataset.yaml, ready for fit.

    Parameters
    ----------
    out
        Folder to write into: an empty one, or one that is not there yet.
    model
        Model the log fold changes are drawn from.
    genes
        Number of genes.
    cell_lines
        Number of cell lines, at least 5.
    guides
        Guides a gene.
    replicates
        Sequences a cell line.
    missing
        Share of measurements that are missing, from 0 to below 1.
    seed
        Seed; equal seed and options give equal files, byte by byte.
    """
    settings = checked(
        Simulation,
        model=model,
        genes=genes,
        cell_lines=cell_lines,
        guides=guides,
        replicates=replicates,
        missing=missing,
        seed=seed,
    )
    from deployments.terminal import progress_bars
    from model.simulate_release import simulate_release
    from tasks.out_files import require_empty
    from tasks.progress import Progress
    from tasks.write_simulation import write_release

    require_empty(out)  # before anything is drawn
    with progress_bars(Console(stderr=True)), Progress("writing guides") as progress:
        dataset = write_release(simulate_release(settings), out, progress)
    console = Console()
    console.print(
        f"Simulated {settings.genes * settings.guides:,} guides of {genes:,} genes x "
        f"{cell_lines * replicates:,} sequences of {cell_lines:,} cell lines under "
        f"[bold]{model}[/]; the true values are in truth.csv."
    )
    console.print(f"[bold]Fit it:[/bold] screenbayes fit {escape(str(dataset))}", soft_wrap=True)
    return DONE

"""The command `screenbayes simulate`: writes a simulated release to disk."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deployments.cli.exit_codes import DONE
from deployments.cli.options import settings_from_options
from schemas.parameters import LinearModelName
from schemas.simulation import Simulation

DEFAULTS = Simulation()


def simulate(
    *,
    out: Path,
    model: LinearModelName = DEFAULTS.model,
    genes: int = DEFAULTS.genes,
    cell_lines: int = DEFAULTS.cell_lines,
    guides: int = DEFAULTS.guides,
    replicates: int = DEFAULTS.replicates,
    missing: float = DEFAULTS.missing,
    seed: int = DEFAULTS.seed,
) -> int:
    """Write a simulated screen with known true values, in the layout of a DepMap release.

    Writes the tables, truth.csv (the true value of each parameter, named as in summary.csv) and
    dataset.yaml, the input of fit.

    Parameters
    ----------
    out
        Empty or new folder to write into.
    model
        Model to draw log fold changes from.
    genes
        Number of genes.
    cell_lines
        Number of cell lines, at least 5.
    guides
        Guides per gene.
    replicates
        Replicates per cell line.
    missing
        Share of missing measurements, from 0 to below 1.
    seed
        Seed; the same seed and options give identical files.
    """
    settings = settings_from_options(
        Simulation,
        model=model,
        genes=genes,
        cell_lines=cell_lines,
        guides=guides,
        replicates=replicates,
        missing=missing,
        seed=seed,
    )
    from deployments.cli.terminal import progress_bars
    from model.simulation.release import simulate_release
    from tasks.runtime.files import require_empty
    from tasks.runtime.progress import Progress
    from tasks.write_simulation import write_release

    require_empty(out)  # before simulating
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

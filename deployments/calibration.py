"""The command `screenbayes calibrate`. What a calibration is, and does, is `flows.calibrate`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.environment import embedded_server_may_die
from deployments.exit_codes import DONE, VERDICT_FAIL
from deployments.options import checked
from schemas.calibration import CalibrationSettings
from schemas.parameters import EngineName, ModelName, SamplerName

DEFAULTS = CalibrationSettings()


def calibrate(
    *,
    model: ModelName = DEFAULTS.model,
    simulated_model: ModelName | None = None,
    engine: EngineName = DEFAULTS.engine,
    sampler: SamplerName = DEFAULTS.sampling.sampler,
    simulations: int = DEFAULTS.simulations,
    genes: int = DEFAULTS.genes,
    cell_lines: int = DEFAULTS.cell_lines,
    guides: int = DEFAULTS.guides,
    replicates: int = DEFAULTS.replicates,
    draws: int = DEFAULTS.sampling.draws,
    seed: int = DEFAULTS.seed,
    out: Path | None = None,
) -> int:
    """Fit simulated screens with known truth: do a model's posteriors mean what they say?

    Parameters
    ----------
    model
        Model that is fitted.
    simulated_model
        Model the screens are drawn from, if not the one that is fitted.
    engine
        Engine that is tried. With exact a simulation takes tens of milliseconds, with nuts seconds.
    sampler
        Implementation of NUTS.
    simulations
        Number of simulated screens.
    genes
        Genes of a screen.
    cell_lines
        Cell lines of a screen, at least 5.
    guides
        Guides a gene.
    replicates
        Sequences a cell line.
    draws
        Draws a chain of each fit.
    seed
        Seed; equal seed and options give equal numbers.
    out
        Folder for calibration.json; it is in MLflow too.
    """
    from deployments.terminal import progress_bars
    from tasks.out_files import require_folder, write_whole
    from tasks.progress import tell
    from tasks.render_calibration import calibration_markdown

    settings = checked(
        CalibrationSettings,
        model=model,
        simulated_model=simulated_model or "",
        engine=engine,
        simulations=simulations,
        genes=genes,
        cell_lines=cell_lines,
        guides=guides,
        replicates=replicates,
        seed=seed,
        sampling={**DEFAULTS.sampling.model_dump(), "draws": draws, "sampler": sampler},
    )
    if out is not None:
        require_folder(out)  # before anything is simulated
    with progress_bars(Console(stderr=True)):
        tell("Starting Prefect")
        from flows.calibrate import calibrate as run

        with embedded_server_may_die():
            outcome = run(settings)
    console = Console()
    console.print(Markdown(calibration_markdown(outcome.report)))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = outcome.report.model_dump_json(indent=2)
        write_whole(out / "calibration.json", text.encode())
        console.print(f"Written to {escape(str(out))}/calibration.json")
    console.print(f"[bold]Look at it:[/bold] {escape(outcome.where_to_look)}", soft_wrap=True)
    return VERDICT_FAIL if outcome.report.verdict.status == "fail" else DONE

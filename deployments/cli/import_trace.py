"""The command `screenbayes import-trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.console import Console

from deployments.cli.exit_codes import DONE
from deployments.cli.options import FitOptions, PicturesOption, Several, require_named
from deployments.cli.outcome import print_fit_header, print_fit_result, print_run_location
from deployments.server.environment import interruptible_flow


def import_trace(
    trace: str,
    *,
    dataset: str,
    priors: Annotated[tuple[str, ...], Several] = (),
    genes: Annotated[tuple[str, ...], Several] = (),
    cell_lines: Annotated[tuple[str, ...], Several] = (),
    without_cell_lines: Annotated[tuple[str, ...], Several] = (),
    lineages: Annotated[tuple[str, ...], Several] = (),
    seed: int | None = None,
    parameters: Path | None = None,
    pictures: PicturesOption = "all",
) -> int:
    """Import a trace sampled elsewhere, for example by pymc3, as a run in MLflow like a fit.

    The trace is checked against the measurements of the dataset first.

    Parameters
    ----------
    trace
        InferenceData saved by ArviZ as netCDF: a path or an s3:// address.
    dataset
        Dataset file (YAML) of the screen the trace was sampled from: a path or an s3:// address.
    priors
        Priors the trace was sampled with: as_run, as_written, a YAML file, or single priors such as
        "mu_beta=Normal(0, 0.5)". [default: as_run]
    genes
        Genes of the trace, if not all.
    cell_lines
        Cell lines of the trace (ACH-000000), if not all.
    without_cell_lines
        Cell lines the trace leaves out, if it has all others.
    lineages
        Lineages of the trace, if not all.
    seed
        Seed of the predictive draws. [default: 103]
    parameters
        YAML file with any settings of a fit; options override it. Model, engine and number of draws
        come from the trace.
    """
    from deployments.cli.terminal import hyperparameter_table, progress_bars
    from tasks.runtime.progress import log_info

    require_named("a netCDF file of a trace, and a dataset file", trace, dataset)
    settings = FitOptions(
        priors=priors,
        genes=genes,
        cell_lines=cell_lines,
        without_cell_lines=without_cell_lines,
        lineages=lineages,
        seed=seed,
        parameters=parameters,
    ).fit_parameters()
    with progress_bars(Console(stderr=True)):
        log_info("Starting Prefect")
        from flows.import_trace import import_trace as run

        with interruptible_flow():
            outcome = run(trace, dataset, settings, pictures)
    if outcome.results is None:
        print_run_location(outcome)
        return DONE
    print_fit_header(outcome.results, "Imported")
    console = Console()
    console.print()
    console.print(hyperparameter_table(outcome.results.summary))
    return print_fit_result(outcome, outcome.results)

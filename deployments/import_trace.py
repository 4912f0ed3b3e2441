"""The command `screenbayes import-trace`. What an import is, and does, is `flows.import_trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.console import Console

from deployments.environment import embedded_server_may_die
from deployments.exit_codes import DONE
from deployments.options import FitOptions, PicturesOption, Several, require_named
from deployments.outcome import begin_result, conclude, print_where


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
    """Make a trace that was sampled elsewhere, as by pymc3, a run in MLflow like that of a fit.

    It is held against the measurements of the dataset first; a trace of others is refused.

    Parameters
    ----------
    trace
        InferenceData as netCDF, saved by ArviZ: a path or an s3:// address.
    dataset
        Dataset file (YAML) of the screen the trace was sampled from: a path or an s3:// address.
    priors
        Priors the trace was sampled with: as_run, as_written, a YAML file, or single ones such as
        "mu_beta=Normal(0, 0.5)". [default: as_run]
    genes
        Genes the trace is of, where not of all.
    cell_lines
        Cell lines the trace is of, where not of all, as ACH-000000.
    without_cell_lines
        Cell lines the trace is not of, where it is of all others.
    lineages
        Lineages the trace is of, where not of all.
    seed
        Seed of the predictive draws. [default: 103]
    parameters
        YAML file with any settings of a fit; options win over it. Model, engine and number of draws
        are those of the trace.
    """
    from deployments.terminal import hyperparameter_table, progress_bars
    from tasks.progress import tell

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
        tell("Starting Prefect")
        from flows.import_trace import import_trace as run

        with embedded_server_may_die():
            outcome = run(trace, dataset, settings, pictures)
    if outcome.results is None:
        print_where(outcome)
        return DONE
    begin_result(outcome.results, "Imported")
    console = Console()
    console.print()
    console.print(hyperparameter_table(outcome.results.summary))
    return conclude(outcome, outcome.results)

"""The command `screenbayes`: words to flows, outcomes to tables, errors to exit codes.

Exit codes: 0 done, 1 verdict fail or refused by the gate, 2 bad input, 3 environment or storage
trouble, 130 interrupted, 143 terminated, 129 hung up, 141 what it printed was not read to the end.
Options that fits share are `deployments.options`; what a terminal shows is `deployments.terminal`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App
from rich.console import Console
from rich.markup import escape

from deployments.calibration import calibrate
from deployments.comparison import compare
from deployments.deploy import deploy
from deployments.doctor import doctor
from deployments.environment import embedded_server_may_die, prepare_environment
from deployments.exit_codes import BAD_INPUT, DONE, NOT_READ, TROUBLE
from deployments.export import export
from deployments.import_trace import import_trace
from deployments.options import FitOptions, PicturesOption, require_named
from deployments.outcome import begin_result, conclude
from deployments.promotion import promote
from deployments.signals import Heard, forget_terminal, forget_unprinted, heard_like_interrupts
from deployments.simulation import simulate
from deployments.workbench import serve
from schemas.errors import (
    MEMORY_MENDS,
    EnvironmentTrouble,
    UserError,
    told,
    was_interrupted,
    without_memory,
)
from schemas.parameters import Pictures
from schemas.plain_text import visible

if TYPE_CHECKING:
    from flows.tracked_posterior import FitOutcome
    from schemas.parameters import FitParameters
    from tasks.artifacts import FitResults

DEMO_FOLDER = Path("screenbayes-demo")

app = App(
    name="screenbayes",
    help="How strongly a gene's own expression drives the dependency on it, from a CRISPR screen.",
    help_epilogue=(
        "Exit codes: 0 done, 1 verdict fail or refused by the gate, 2 bad input, 3 environment or "
        "storage trouble, 129 hung up, 130 interrupted, 141 what it prints is read no longer, "
        "143 terminated."
    ),
    version=lambda: version("screenbayes"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # we say what became of the run, and which signal it was
)


app.command(simulate)
app.command(deploy)
app.command(compare)
app.command(promote)
app.command(export)
app.command(import_trace)
app.command(calibrate)
app.command(serve)
app.command(doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    prepare_environment()
    if isinstance(sys.stdout, TextIOWrapper):
        # A label the terminal has no letters for is shown as \u03b2; stderr is so already.
        sys.stdout.reconfigure(errors="backslashreplace")
    console = Console(stderr=True)
    with _told_kindly(console) as codes:
        # --help and --version return nothing.
        codes.append(app(arguments) or DONE)
    return codes[-1]


@app.command
def demo(*, options: FitOptions = FitOptions(), pictures: PicturesOption = "all") -> int:
    """Fit the simulated screen and set the result beside the true and the published values.

    Writes its tables to screenbayes-demo/ and the run to MLflow, like any other fit.
    """
    from deployments.demo import (
        NUTS_DRAWS,
        comparison,
        comparison_table,
        published_applies,
        write_demo_dataset,
    )

    dataset = write_demo_dataset(DEMO_FOLDER)
    parameters = options.fit_parameters()
    if parameters.engine == "nuts":
        parameters = options.fit_parameters(draws=NUTS_DRAWS)
    outcome, results = _fit(str(dataset), parameters, pictures=pictures)
    if published_applies(parameters):
        console = Console()
        console.print()
        console.print(comparison_table(comparison(results.summary)))
    return conclude(outcome, results)


@app.command
def fit(
    dataset: str,
    *,
    options: FitOptions = FitOptions(),
    dask: str = "",
    pictures: PicturesOption = "all",
) -> int:
    """Validate a release, fit it, and track the fit in MLflow.

    Parameters
    ----------
    dataset
        Dataset file (YAML): where the tables of the release are. A path or an s3:// address.
    dask
        Where the exact engine computes: nothing for this process, local for a Dask cluster on this
        machine, or the address of a scheduler, as tcp://host:8786. The numbers are the same.
    """
    from deployments.terminal import hyperparameter_table

    require_named("a dataset file", dataset)
    outcome, results = _fit(dataset, options.fit_parameters(), dask, pictures)
    console = Console()
    console.print()
    console.print(hyperparameter_table(results.summary))
    return conclude(outcome, results)


@app.command
def validate(dataset: str, *, out: Path = Path(), parameters: Path | None = None) -> int:
    """Hold the tables of a release against every rule, without fitting.

    Prints what was found and writes validation.json.

    Parameters
    ----------
    dataset
        Dataset file (YAML), a path or an s3:// address.
    out
        Folder for validation.json.
    parameters
        YAML file with settings of a fit, as for fit: its limits are the ones held against.
    """
    from deployments.terminal import progress_bars
    from tasks.out_files import require_folder
    from tasks.progress import Progress
    from tasks.read_dataset import load_dataset
    from tasks.render_validation import tables_read, validation_table, write_validation
    from tasks.validate import validate as validate_tables

    require_named("a dataset file", dataset)
    console = Console()
    settings = FitOptions(parameters=parameters).fit_parameters()
    require_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    with progress_bars(Console(stderr=True)), Progress("reading guides") as progress:
        report = validate_tables(load_dataset(dataset), settings, progress).report
    console.print(tables_read(report))
    console.print(validation_table(report))
    path = write_validation(report, out)
    outcome = "[green bold]valid[/]" if report.passed else "[red bold]not valid[/]"
    console.print(
        f"{escape(report.dataset)} {escape(report.release)} is {outcome}: "
        f"{len(report.errors)} error(s), {len(report.warnings)} warning(s). Written to "
        f"{escape(str(path))}"
    )
    return DONE if report.passed else BAD_INPUT


def _fit(
    dataset: str, parameters: FitParameters, dask: str = "", pictures: Pictures = "all"
) -> tuple[FitOutcome, FitResults]:
    """Run the flow with progress on the terminal."""
    from deployments.terminal import progress_bars
    from tasks.progress import tell

    with progress_bars(Console(stderr=True)):
        tell("Starting Prefect")
        # Here and not above: Prefect and PyMC take seconds to import, and `--help` should not.
        from flows.fit_screen import fit_screen

        with embedded_server_may_die():
            # Who types the command again wants the fit again.
            outcome = fit_screen(dataset, parameters, dask, repeat=True, pictures=pictures)
    results = outcome.results
    assert results is not None
    begin_result(results, "Fitted")
    return outcome, results


@contextmanager
def _told_kindly(console: Console) -> Iterator[list[int]]:
    """Turn the errors a user can mend into a message and an exit code, without a traceback."""
    codes = [TROUBLE]
    with heard_like_interrupts() as heard:
        yield from _told(console, codes, heard)


def _told(console: Console, codes: list[int], heard: Heard) -> Iterator[list[int]]:
    def tell(code: int, error: BaseException | str) -> None:
        console.print(
            f"[red bold]screenbayes:[/] {escape(visible(str(error), keep='\n'))}", soft_wrap=True
        )
        codes.append(code)

    try:
        yield codes
    except SystemExit as stop:  # cyclopts has said what is wrong with the words of the command
        codes.append(stop.code if isinstance(stop.code, int) else BAD_INPUT)
    except BaseException as error:
        # Whatever ends a command after a signal is of it: libraries make it errors of their own.
        if heard.sign is not None or was_interrupted(error):
            tell(heard.code, "interrupted; the MLflow run, if one was begun, is marked KILLED")
        elif isinstance(error, UserError):
            tell(BAD_INPUT, error)
        elif isinstance(error, EnvironmentTrouble):
            tell(TROUBLE, error)
        elif isinstance(error, BrokenPipeError):  # of a pipe, as to `head`, that has read enough
            forget_terminal()
            codes.append(NOT_READ)
        elif (trouble := _trouble(error)) is not None:
            tell(TROUBLE, trouble)
            forget_unprinted()
        else:
            # A defect of ours: the whole traceback, and not the exit code of a failed verdict.
            console.print_exception()
            codes.append(TROUBLE)


def _trouble(error: BaseException) -> str | None:
    """Say in a line what the surroundings did, where that is what is behind an error."""
    if (asked := without_memory(error)) is not None:
        what = " ".join(str(asked).split()) or "none could be had"
        return f"memory: there was not enough ({what}); {MEMORY_MENDS}"
    if isinstance(error, OSError):
        return told(error)
    said = " ".join(str(error).split())
    prefect = f"Prefect at {os.environ.get('PREFECT_API_URL', 'the embedded server')}"
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if type(error).__name__ == "PrefectHTTPStatusError" and status >= 500:
        return (
            f"{prefect} could not do what it was asked ({said}); its log says why; try again later"
        )
    if "Failed to reach API" in str(error) or type(error).__module__.startswith("httpx"):
        return (
            f"{prefect} does not answer ({said}); start it, "
            "correct PREFECT_API_URL, or unset it to run without a server"
        )
    return None


if __name__ == "__main__":
    sys.exit(main())

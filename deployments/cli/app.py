"""The command `screenbayes`: runs flows, prints results, maps errors to exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.text import Text

from deployments.cli.calibrate import calibrate
from deployments.cli.compare import compare
from deployments.cli.doctor import doctor
from deployments.cli.exit_codes import BAD_INPUT, BROKEN_PIPE, DONE, SERVICE_ERROR
from deployments.cli.export import export
from deployments.cli.import_trace import import_trace
from deployments.cli.options import (
    FitOptions,
    PicturesOption,
    describe_usage_error,
    require_named,
)
from deployments.cli.outcome import print_results, print_run
from deployments.cli.promote import promote
from deployments.cli.runs import runs
from deployments.cli.serve import serve
from deployments.cli.session import flow_session
from deployments.cli.show import show
from deployments.cli.signals import (
    ReceivedSignal,
    discard_output,
    discard_unwritten_output,
    signals_as_interrupts,
)
from deployments.cli.simulate import simulate
from deployments.server.environment import prepare_environment
from deployments.server.register import deploy
from schemas.errors import (
    MEMORY_REMEDIES,
    ExternalServiceError,
    UserError,
    describe_os_error,
    memory_error,
    was_interrupted,
)
from schemas.formatting import escape_unprintable
from schemas.parameters import Pictures

if TYPE_CHECKING:
    from model.fit import FitResults
    from schemas.parameters import FitParameters

DEMO_FOLDER = Path("screenbayes-demo")
NUTS_DRAWS = 20_000
"""Draws per chain of a demonstration by NUTS: along the ridge between alpha and gamma, fifty count
as one. Draws of the exact engine are independent, so its default number suffices."""


def _usage_error(error: CycloptsError) -> Text:
    return Text.assemble(("screenbayes: ", "red bold"), describe_usage_error(error))


app = App(
    name="screenbayes",
    help="How strongly a gene's own expression drives the dependency on it, from a CRISPR screen.",
    help_epilogue=(
        "Exit codes: 0 done, 1 verdict fail or promotion refused, 2 bad input, 3 environment or "
        "storage error, 129 hung up, 130 interrupted, 141 broken pipe, 143 terminated."
    ),
    version=lambda: version("screenbayes"),
    result_action="return_value",
    error_formatter=_usage_error,
    suppress_keyboard_interrupt=False,  # main() reports the signal and the state of the run
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
app.command(runs)
app.command(show)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    prepare_environment()
    if isinstance(sys.stdout, TextIOWrapper):
        # Show characters the terminal cannot encode as \u03b2; stderr does so by default.
        sys.stdout.reconfigure(errors="backslashreplace")
    console = Console(stderr=True)
    with _user_facing_errors(console) as codes:
        # --help and --version return nothing.
        codes.append(app(arguments) or DONE)
    return codes[-1]


@app.command
def demo(*, options: FitOptions = FitOptions(), pictures: PicturesOption = "report") -> int:
    """Fit the simulated screen and compare the result with the true and the published values.

    Writes the tables to screenbayes-demo/ and the run to MLflow. Fits m4 if no model is named, with
    20000 draws per chain by nuts.
    """
    parameters = options.fit_parameters(model="m4")
    if parameters.engine == "nuts":
        parameters = options.fit_parameters(model="m4", draws=NUTS_DRAWS)

    def dataset() -> str:
        from deployments.cli.demo import write_demo_dataset

        return str(write_demo_dataset(DEMO_FOLDER))

    def show(results: FitResults) -> None:
        from deployments.cli.demo import comparison, comparison_table, published_applies

        if published_applies(parameters):
            Console().print(comparison_table(comparison(results.summary)), "\n")
        print_results(results)

    return _fit(dataset, parameters, pictures=pictures, on_result=show)


@app.command
def fit(
    dataset: str,
    *,
    options: FitOptions = FitOptions(),
    dask: str = "",
    pictures: PicturesOption = "report",
) -> int:
    """Validate a release, fit it, and track the fit in MLflow.

    Several genes, cell lines or lineages are separated by blanks or commas, or in a file with one
    per line: --genes @genes.txt.

    Parameters
    ----------
    dataset
        Dataset file (YAML) that locates the tables of the release: a path or an s3:// address.
    dask
        Where the exact engine computes: in this process if empty, on a Dask cluster of this machine
        (local), or at the address of a scheduler (tcp://host:8786). Results are the same.
    """
    require_named("a dataset file", dataset)
    return _fit(lambda: dataset, options.fit_parameters(), dask, pictures)


@app.command
def validate(dataset: str, *, options: FitOptions = FitOptions(), out: Path | None = None) -> int:
    """Check the tables of a release against every rule, and whether they can be fitted.

    Prints the problems, also those for which fit with the same options would refuse the screen.

    Parameters
    ----------
    dataset
        Dataset file (YAML), a path or an s3:// address.
    out
        Folder for validation.json, which has all offending values; none is written without it.
    """
    from deployments.cli.terminal import progress_bars
    from tasks.reading.dataset_file import load_dataset
    from tasks.reading.fit_check import validate_for_fit
    from tasks.reports.validation import validation_markdown, write_validation
    from tasks.runtime.files import require_folder
    from tasks.runtime.progress import Progress

    require_named("a dataset file", dataset)
    console = Console()
    settings = options.fit_parameters()
    if out is not None:
        require_folder(out)
        out.mkdir(parents=True, exist_ok=True)
    with progress_bars(Console(stderr=True)), Progress("reading guides") as progress:
        is_chosen = "model" in options.model_fields_set or options.parameters is not None
        report, note = validate_for_fit(
            load_dataset(dataset), settings, progress, is_chosen=is_chosen
        )
    console.print(Markdown(validation_markdown(report)))
    written = "" if out is None else f" Written to {escape(str(write_validation(report, out)))}"
    outcome = "[green bold]valid[/]" if report.passed else "[red bold]not valid[/]"
    console.print(
        f"{escape(report.dataset)} {escape(report.release)} is {outcome}: "
        f"{len(report.errors)} error(s), {len(report.warnings)} warning(s).{written}"
    )
    if note:
        console.print(f"A fit needs another model than the default: {escape(note)}")
    return DONE if report.passed else BAD_INPUT


def _fit(
    dataset: Callable[[], str],
    parameters: FitParameters,
    dask: str = "",
    pictures: Pictures = "report",
    on_result: Callable[[FitResults], None] = print_results,
) -> int:
    """Run the flow; print the results as soon as they are known, and in the end the run.

    `dataset` returns the path of the dataset file, and is called while the server starts.
    """
    with flow_session(on_result) as ready:
        # Imports take seconds: `--help` should not wait for them, and the server starts meanwhile.
        from flows.fit_screen import fit_screen

        path = dataset()
        ready()
        # Typing the command again means fitting again.
        outcome = fit_screen(path, parameters, dask, repeat=True, pictures=pictures)
    return print_run(outcome)


@contextmanager
def _user_facing_errors(console: Console) -> Iterator[list[int]]:
    """Report errors a user can correct as a message and an exit code, without a traceback."""
    codes = [SERVICE_ERROR]
    with signals_as_interrupts() as received:
        yield from _report_errors(console, codes, received)


def _report_errors(
    console: Console, codes: list[int], received: ReceivedSignal
) -> Iterator[list[int]]:
    def report(code: int, error: BaseException | str) -> None:
        console.print(
            f"[red bold]screenbayes:[/] {escape(escape_unprintable(str(error), keep='\n'))}",
            soft_wrap=True,
        )
        codes.append(code)

    try:
        yield codes
    except SystemExit as stop:  # cyclopts has printed what is wrong
        codes.append(stop.code if isinstance(stop.code, int) else BAD_INPUT)
    except BaseException as error:
        # After a signal, any error counts as the interrupt: libraries replace KeyboardInterrupt.
        if received.sign is not None or was_interrupted(error):
            report(
                received.code, "interrupted; the MLflow run, if one was started, is marked KILLED"
            )
        elif isinstance(error, UserError):
            report(BAD_INPUT, error)
        elif isinstance(error, ExternalServiceError):
            report(SERVICE_ERROR, error)
        elif isinstance(error, BrokenPipeError):  # the reader, such as `head`, has closed the pipe
            discard_output()
            codes.append(BROKEN_PIPE)
        elif (message := _describe_service_error(error)) is not None:
            report(SERVICE_ERROR, message)
            discard_unwritten_output()
        else:
            # A bug: the whole traceback, and an exit code other than that of a failed verdict.
            console.print_exception()
            codes.append(SERVICE_ERROR)


def _describe_service_error(error: BaseException) -> str | None:
    """Return a line on the memory, system or Prefect error behind `error`; None for others."""
    if (shortage := memory_error(error)) is not None:
        what = " ".join(str(shortage).split()) or "allocation failed"
        return f"memory: there was not enough ({what}); {MEMORY_REMEDIES}"
    if isinstance(error, OSError):
        return describe_os_error(error)
    message = " ".join(str(error).split())
    prefect = f"Prefect at {os.environ.get('PREFECT_API_URL', 'the embedded server')}"
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if type(error).__name__ == "PrefectHTTPStatusError" and status >= 500:
        return f"{prefect} failed ({message}); see its log, and try again later"
    if "Failed to reach API" in str(error) or type(error).__module__.startswith("httpx"):
        return (
            f"{prefect} does not answer ({message}); start it, "
            "correct PREFECT_API_URL, or unset it to run without a server"
        )
    return None


if __name__ == "__main__":
    sys.exit(main())

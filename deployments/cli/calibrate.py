"""The command `screenbayes calibrate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.cli.exit_codes import DONE, VERDICT_FAIL
from deployments.cli.options import (
    FitOptions,
    OptionError,
    Several,
    require_named,
    settings_from_options,
)
from deployments.server.environment import interruptible_flow
from schemas.calibration import CalibrationSettings
from schemas.parameters import EngineName, ModelName, SamplerName
from schemas.permutation import TRIAL_PARAMETERS, PermutationReport, TrialSettings

if TYPE_CHECKING:
    from flows.calibrate import CalibrationOutcome
    from flows.permutation_trial import TrialOutcome

DEFAULTS = CalibrationSettings()


def calibrate(
    *,
    on: str | None = None,
    model: ModelName | None = None,
    simulated_model: ModelName | None = None,
    engine: EngineName | None = None,
    sampler: SamplerName | None = None,
    priors: Annotated[tuple[str, ...], Several] = (),
    simulations: int | None = None,
    genes: int | None = None,
    cell_lines: int | None = None,
    guides: int | None = None,
    replicates: int | None = None,
    copy_number: bool | None = None,
    share: float | None = None,
    permutations: int | None = None,
    draws: int | None = None,
    chains: int | None = None,
    parameters: Path | None = None,
    dask: str | None = None,
    seed: int | None = None,
    out: Path | None = None,
) -> int:
    """Check the calibration of a model: fit simulated screens with known true values.

    With --on, fit your own screen with the RNA of random genes permuted over the cell lines, and
    count the calls of these genes, which are false, beside regression.

    Parameters
    ----------
    on
        Dataset file (YAML) of the screen to permute: a path or an s3:// address.
    model
        Model to fit. [default: m4_screen]
    simulated_model
        Model to draw the screens from, if not the fitted one.
    engine
        Engine to test. A simulation takes tens of milliseconds with exact and gibbs, seconds with
        nuts. [default: auto]
    sampler
        Implementation of NUTS. [default: nutpie]
    priors
        Priors to draw from and fit with, as for fit. [default: as_run]
    simulations
        Number of simulated screens. [default: 1000]
    genes
        Genes per simulated screen. [default: 10]
    cell_lines
        Cell lines per simulated screen, at least 5. [default: 10]
    guides
        Guides per gene. [default: 3]
    replicates
        Replicates per cell line. [default: 2]
    copy_number
        Simulate copy number, on which m4_screen has a slope. [default: no]
    share
        Share of the genes whose RNA is permuted (with --on). [default: 0.8]
    permutations
        Number of permuted screens, each fitted once (with --on). [default: 8]
    draws
        Draws per chain of each fit. [default: 250; with --on 500]
    chains
        Chains of each fit (with --on). [default: 2]
    parameters
        YAML file with any settings of a fit, such as filters (with --on); options override it.
    dask
        Where to compute (with --on), as for fit.
    seed
        Seed; the same seed and options give the same results. [default: 103]
    out
        Folder for the result as JSON, which MLflow stores too.
    """
    common: dict[str, Any] = {"model": model, "engine": engine, "seed": seed}
    of_fit: dict[str, Any] = {"sampler": sampler, "draws": draws}
    simulated: dict[str, Any] = {
        "simulated_model": simulated_model,
        "simulations": simulations,
        "genes": genes,
        "cell_lines": cell_lines,
        "guides": guides,
        "replicates": replicates,
        "copy_number": copy_number,
    }
    permuted: dict[str, Any] = {"share": share, "permutations": permutations}
    only_on = permuted | {"chains": chains, "parameters": parameters, "dask": dask}
    if on is None:
        _require_absent(only_on, "only with --on, got no --on; name the dataset file")
        sampling = DEFAULTS.sampling.model_dump() | _given(of_fit)
        settings = settings_from_options(
            CalibrationSettings,
            **_given(common | simulated),
            sampling=sampling,
            priors=FitOptions(priors=priors).fit_parameters().priors,
        )
        outcome = _run((settings,), "calibration.json", out)
    else:
        require_named("a dataset file", on)
        _require_absent(
            simulated,
            "only without --on, which permutes the screen of a dataset, got both; omit it (filters "
            "in a file for --parameters select genes and lines)",
        )
        trial = settings_from_options(TrialSettings, **_given(permuted))
        options = FitOptions(
            **common, **of_fit, priors=priors, chains=chains, parameters=parameters
        )
        few = TRIAL_PARAMETERS.sampling
        fit = options.fit_parameters(draws=few.draws, chains=few.chains)
        outcome = _run((DEFAULTS, on, trial, fit, dask or ""), "permutation_trial.json", out)
    return VERDICT_FAIL if outcome.report.verdict.status == "fail" else DONE


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _require_absent(options: Mapping[str, Any], expected: str) -> None:
    if given := _given(options):
        name = next(iter(given)).replace("_", "-")
        raise OptionError(f"--{name}: expected {expected}")


def _run(
    arguments: tuple[Any, ...], file: str, out: Path | None
) -> CalibrationOutcome | TrialOutcome:
    """Run the flow, print its result, and write it as `file` into the folder `out`, if given."""
    from deployments.cli.terminal import progress_bars
    from tasks.runtime.files import require_folder, write_atomic
    from tasks.runtime.progress import log_info

    if out is not None:
        require_folder(out)  # before fitting
    with progress_bars(Console(stderr=True)):
        log_info("Starting Prefect")
        from flows.calibrate import calibrate as run

        with interruptible_flow():
            outcome = run(*arguments)
    console = Console()
    _print_report(console, outcome)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / file, outcome.report.model_dump_json(indent=2).encode())
        console.print(f"Written to {escape(str(out))}/{file}")
    console.print(f"[bold]View it:[/bold] {escape(outcome.run_location)}", soft_wrap=True)
    return outcome


def _print_report(console: Console, outcome: CalibrationOutcome | TrialOutcome) -> None:
    from tasks.reports.calibration import calibration_markdown
    from tasks.reports.permutation import permutation_markdown

    if isinstance(outcome.report, PermutationReport):
        page = permutation_markdown(outcome.report)
    else:
        page = calibration_markdown(outcome.report)
    console.print(Markdown(page))

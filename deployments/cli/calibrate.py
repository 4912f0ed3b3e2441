"""The command `screenbayes calibrate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.cli.exit_codes import DONE, VERDICT_FAIL
from deployments.cli.options import (
    FLAT,
    HIDDEN,
    SEVERAL,
    FitOptions,
    OptionError,
    require_named,
    setting,
)
from deployments.cli.session import flow_session
from schemas.calibration import CalibrationSettings
from schemas.parameters import ModelName, Priors, Sampling
from schemas.permutation import TRIAL_PARAMETERS, PermutationReport, TrialSettings

if TYPE_CHECKING:
    from flows.calibrate import CalibrationOutcome
    from flows.permutation_trial import TrialOutcome


class SamplingOptions(Sampling):
    """Settings of each fit that have options; their defaults depend on --on."""

    predictive_draws: Annotated[int, HIDDEN] = setting(Sampling, "predictive_draws")
    predictive_cells: Annotated[int, HIDDEN] = setting(Sampling, "predictive_cells")
    log_likelihood: Annotated[bool, HIDDEN] = setting(Sampling, "log_likelihood")


@FLAT
class CalibrationOptions(CalibrationSettings):
    """Settings of a calibration that have options."""

    priors: Annotated[Priors, HIDDEN] = setting(CalibrationSettings, "priors")
    simulated_model: Annotated[
        Literal["", ModelName], Parameter(show_default=False, show_choices=False)
    ] = setting(CalibrationSettings, "simulated_model")
    sampling: Annotated[SamplingOptions, FLAT, Parameter(show_default=False)] = SamplingOptions()
    ranked_among: Annotated[int, HIDDEN] = setting(CalibrationSettings, "ranked_among")
    band_probability: Annotated[float, HIDDEN] = setting(CalibrationSettings, "band_probability")
    max_coverage_errors: Annotated[float, HIDDEN] = setting(
        CalibrationSettings, "max_coverage_errors"
    )


def calibrate(
    *,
    on: str | None = None,
    settings: CalibrationOptions = CalibrationOptions(),
    trial: Annotated[TrialSettings, FLAT] = TrialSettings(),
    priors: Annotated[tuple[str, ...], SEVERAL] = (),
    parameters: Path | None = None,
    dask: str | None = None,
    out: Path | None = None,
) -> int:
    """Check the calibration of a model: fit simulated screens with known true values.

    With --on, fit your own screen with the RNA of random genes permuted over the cell lines, and
    count the calls of these genes, which are false, beside regression.

    Each fit has 250 draws per chain, with --on 500 in 2 chains, if no number is given.

    Parameters
    ----------
    on
        Dataset file (YAML) of the screen to permute: a path or an s3:// address.
    priors
        Priors to draw from and fit with, as for fit. [default: as_run]
    parameters
        YAML file with any settings of a fit, such as filters (with --on); options override it.
    dask
        Where to compute (with --on), as for fit.
    out
        Folder for the result as JSON, which MLflow stores too.
    """
    given = settings.model_dump(exclude_unset=True)
    sampling = given.pop("sampling", {})
    only_on = {"parameters": parameters, "dask": dask}
    if on is None:
        _require_absent(
            {**trial.model_dump(exclude_unset=True), **only_on},
            "only with --on, got no --on; name the dataset file",
        )
        of_fits = CalibrationSettings().sampling.model_copy(update=sampling)
        chosen = FitOptions(priors=priors).fit_parameters().priors
        settings = settings.model_copy(update={"sampling": of_fits, "priors": chosen})
        outcome = _run((settings,), "calibration.json", out)
    else:
        require_named("a dataset file", on)
        common = {name: given.pop(name) for name in ("model", "engine", "seed") if name in given}
        _require_absent(
            given,
            "only without --on, which permutes the screen of a dataset, got both; omit it (filters "
            "in a file for --parameters select genes and lines)",
        )
        options = FitOptions(**common, sampling=sampling, priors=priors, parameters=parameters)
        few = TRIAL_PARAMETERS.sampling
        fit = options.fit_parameters(draws=few.n_draws, chains=few.chains)
        outcome = _run((settings, on, trial, fit, dask or ""), "permutation_trial.json", out)
    return VERDICT_FAIL if outcome.report.verdict.status == "fail" else DONE


def _require_absent(options: Mapping[str, Any], expected: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise OptionError(f"--{name.replace('_', '-')}: expected {expected}")


def _run(
    arguments: tuple[Any, ...], file: str, out: Path | None
) -> CalibrationOutcome | TrialOutcome:
    """Run the flow, print its result, and write it as `file` into the folder `out`, if given."""
    from tasks.runtime.files import require_folder, write_atomic

    if out is not None:
        require_folder(out)  # before fitting
    with flow_session() as ready:
        # While the server starts.
        from flows.calibrate import calibrate as run

        ready()
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

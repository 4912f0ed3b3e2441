"""The verdict: pass, review or fail, with reasons, from convergence and predictive checks.

The limits are `schemas.parameters.Thresholds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from schemas.formatting import format_p_value
from schemas.parameters import FitParameters, ModelName, Thresholds
from schemas.reports import (
    SLOPE_TAILS,
    Convergence,
    ExactDiagnostics,
    NutsDiagnostics,
    PredictiveCheck,
    Status,
    VariableConvergence,
    Verdict,
)

MORE_STEPS = "raise --draws and --tune"
MORE_DRAWS = "raise --draws"
SAMPLE_INSTEAD = "sample it with --engine nuts"
SHIFTING = {"alpha_g", "gamma_c", "mu_alpha", "mu_gamma"}
_SHIFT = (
    "in {model} the data do not identify the additive shift between alpha and gamma, and chains "
    "drift along it; --engine exact has no chains"
)
SHIFT_REMEDIES: dict[ModelName, str] = {
    "m4": _SHIFT.format(model="m4") + ", and --model m4_zero_mean removes it without changing beta",
    "m4_nested": _SHIFT.format(model="m4_nested"),
}

_SCREEN = "use --model m4_screen, which has a variance for each"
_OUTLIERS = "check the pictures of the spread by gene and by line, and leave out the outliers"
DEPENDENCE_REMEDIES: dict[ModelName, str] = {
    "m4": _SCREEN,
    "m4_zero_mean": _SCREEN,
    "m4_nested": _OUTLIERS,
    "m4_screen": _OUTLIERS,
}


def give_verdict(
    convergence: Convergence,
    checks: Sequence[PredictiveCheck],
    parameters: FitParameters,
    fell_back: str = "",
    rhat_without_copy_number: float | None = None,
) -> Verdict:
    """Return the worst status of all findings, each finding as a sentence.

    A failed posterior predictive check that bears on beta gives `review`: where measurements are
    not as independent as the model assumes, every interval of beta has a wrong width. Other failed
    checks are notes, and so are the reason of a fallback to another engine (`fell_back`) and an
    R-hat above its limit of the fit without copy number, which is only compared with.
    """
    failed_checks = [check for check in checks if _has_failed(check, parameters.thresholds)]
    findings = [
        *_convergence_findings(convergence, parameters),
        *_dependence_findings(
            [check for check in failed_checks if check.bears_on_beta and check.name != SLOPE_TAILS],
            parameters.model,
        ),
        *_slope_findings(
            [check for check in failed_checks if check.name == SLOPE_TAILS], parameters.model
        ),
    ]
    statuses = {status for status, _ in findings}
    status: Status = "fail" if "fail" in statuses else "review" if "review" in statuses else "pass"
    reasons = sorted(findings, key=lambda finding: finding[0] != "fail")
    return Verdict(
        status=status,
        reasons=tuple(reason for _, reason in reasons),
        notes=(
            *((f"NUTS was used because the exact engine failed: {fell_back}",) * bool(fell_back)),
            *_other_fit_notes(rhat_without_copy_number, parameters.thresholds),
            *(_check_note(check) for check in failed_checks if not check.bears_on_beta),
        ),
    )


def _convergence_findings(
    measured: Convergence, parameters: FitParameters
) -> Iterator[tuple[Status, str]]:
    thresholds = parameters.thresholds
    explained = False

    def remedy(variables: list[str]) -> str:
        nonlocal explained
        if measured.nuts is None:
            return MORE_DRAWS
        shift = SHIFT_REMEDIES.get(parameters.model)
        if shift is None or not set(variables) <= SHIFTING:
            return MORE_STEPS
        text = "the same shift" if explained else shift
        explained = True
        return text

    # Each limit is written as `not (good)`, so that NaN, which compares false, fails.
    if not measured.rhat_judged <= thresholds.rhat_max:
        apart = _failing(measured, lambda v: v.rhat_judged <= thresholds.rhat_max)
        yield (
            "fail",
            f"largest R-hat is {measured.rhat_max:.3f} ({measured.worst[0][0]}), expected at most "
            f"{thresholds.rhat_max}: the chains disagree about {', '.join(apart)}; {remedy(apart)}",
        )
    few = _failing(measured, lambda v: v.ess_bulk_min >= thresholds.ess_min)
    if not measured.ess_bulk_min >= thresholds.ess_min:
        yield "fail", _small_ess("bulk", measured.ess_bulk_min, few, thresholds) + remedy(few)
    few = _failing(measured, lambda v: v.ess_tail_min >= thresholds.ess_min)
    if not measured.ess_tail_min >= thresholds.ess_min:
        yield "fail", _small_ess("tail", measured.ess_tail_min, few, thresholds) + remedy(few)
    if measured.nuts is not None:
        yield from _nuts_findings(measured.nuts, measured.n_draws, thresholds)
    if measured.exact is not None:
        yield from exact_findings(measured.exact, thresholds)
    if measured.nuts is None and measured.exact is None and measured.gibbs is None:
        yield (
            "fail",
            "expected diagnostics of a sampler or of an integration, found none: the draws cannot "
            "be validated; fit again with --engine nuts",
        )


def _nuts_findings(
    measured: NutsDiagnostics, n_draws: int, thresholds: Thresholds
) -> Iterator[tuple[Status, str]]:
    if measured.divergences:
        share = measured.divergences / n_draws
        yield (
            "fail" if share > thresholds.max_divergence_share else "review",
            f"{measured.divergences} of {n_draws} draws diverged ({share:.2%}): part of "
            "the posterior may be missed; raise --target-accept",
        )
    if not measured.bfmi_min >= thresholds.bfmi_min:
        yield (
            "fail" if math.isnan(measured.bfmi_min) else "review",
            f"smallest energy BFMI is {measured.bfmi_min:.2f}, expected at least "
            f"{thresholds.bfmi_min:.2f}: the sampler explores the tails slowly; raise --tune",
        )


def exact_findings(
    measured: ExactDiagnostics, thresholds: Thresholds
) -> Iterator[tuple[Status, str]]:
    """Yield the problems of an integration, each with its status."""
    if not measured.pareto_k <= thresholds.pareto_k_max:
        yield (
            "fail",
            f"Pareto k of the importance weights is {measured.pareto_k:.2f}, expected at most "
            f"{thresholds.pareto_k_max:g}: a few points dominate, and the draws repeat them; "
            f"{SAMPLE_INSTEAD}",
        )
    if not measured.n_effective_points >= thresholds.ess_min:
        yield (
            "fail",
            f"the {measured.n_points} weighted points behind the draws are equivalent to "
            f"{measured.n_effective_points:.0f} of equal weight, expected at least "
            f"{thresholds.ess_min:g}: the draws repeat too few points; {MORE_DRAWS}, or "
            f"{SAMPLE_INSTEAD}",
        )
    if not measured.interpolation_error <= thresholds.interpolation_error_max:
        yield (
            "fail" if math.isnan(measured.interpolation_error) else "review",
            f"the error of the interpolated log density is {measured.interpolation_error:.2g} at "
            f"new points, expected at most {thresholds.interpolation_error_max:g}: the log weights "
            f"of the draws may be wrong by as much; {SAMPLE_INSTEAD}",
        )
    if not math.isfinite(measured.log_evidence):
        yield (
            "fail",
            f"the log evidence is {measured.log_evidence}, expected a finite number: the density "
            f"could not be integrated; {SAMPLE_INSTEAD}",
        )


def exact_failures(measured: ExactDiagnostics, thresholds: Thresholds) -> list[str]:
    """Return why an integration failed; empty where it did not."""
    return [reason for status, reason in exact_findings(measured, thresholds) if status == "fail"]


def _small_ess(kind: str, size: float, variables: list[str], thresholds: Thresholds) -> str:
    return (
        f"smallest {kind} effective sample size is {size:.0f}, expected at least "
        f"{thresholds.ess_min:.0f}: the draws of {', '.join(variables)} are too few or too "
        "correlated; "
    )


def _failing(measured: Convergence, good: Callable[[VariableConvergence], bool]) -> list[str]:
    """Return the variables for which `good` is false."""
    return [variable.variable for variable in measured.variables if not good(variable)]


def _has_failed(check: PredictiveCheck, thresholds: Thresholds) -> bool:
    tail = min(check.p_value, 1 - check.p_value)
    return check.stage == "posterior" and not tail >= thresholds.predictive_p_min


def _dependence_findings(
    failed_checks: Sequence[PredictiveCheck], model: ModelName
) -> Iterator[tuple[Status, str]]:
    if not failed_checks:
        return
    yield (
        "fail" if any(math.isnan(check.p_value) for check in failed_checks) else "review",
        "residual correlations of measurements of a guide, or of a gene in a line, differ from "
        f"those {model} assumes, so that intervals of beta have a wrong width: "
        + ", ".join(f"{check.name} is {_data_and_model(check)}" for check in failed_checks)
        + f"; {DEPENDENCE_REMEDIES[model]}",
    )


def _slope_findings(
    failed_checks: Sequence[PredictiveCheck], model: ModelName
) -> Iterator[tuple[Status, str]]:
    for check in failed_checks:
        yield (
            "review",
            f"slopes are not Normal, as {model} assumes: {check.name}, their kurtosis, is "
            f"{_data_and_model(check)}; if few genes have an effect, many calls are of genes "
            "without one and the largest slopes are too small; use --model m4_screen",
        )


def _other_fit_notes(rhat: float | None, thresholds: Thresholds) -> Iterator[str]:
    if rhat is not None and not rhat <= thresholds.rhat_max:
        yield (
            f"largest R-hat of the fit without copy number is {rhat:.3f}, expected at most "
            f"{thresholds.rhat_max}: carried_by_copy_number is unreliable; {MORE_DRAWS}"
        )


def _check_note(check: PredictiveCheck) -> str:
    furthest = ", ".join(f"{label} ({ratio:.2g} times)" for label, ratio in check.largest_outliers)
    return f"predictive check {check.name}: {_data_and_model(check)}. {check.description}" + (
        f" Largest outliers, with the ratio of their spread to that of the model: {furthest}."
        if furthest
        else ""
    )


def _data_and_model(check: PredictiveCheck) -> str:
    return (
        f"{check.observed:.3g} in the data, {check.replicated_low:.3g} to "
        f"{check.replicated_high:.3g} under the model "
        f"({format_p_value(check.p_value, check.n_draws)})"
    )

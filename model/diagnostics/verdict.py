"""The verdict: pass, review or fail, with reasons, from convergence and predictive checks.

The limits are `schemas.parameters.Thresholds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from model.diagnostics.misfits import describe_misfit, describe_noisy_lines, numbers
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
_GENE_LEVEL = (
    "the screen has one value per gene and cell line, so that {model} has one residual SD for all "
    "genes, and calls of genes that vary more are often wrong; count wrong calls with `screenbayes "
    "calibrate --on`, or provide log fold changes of guides, to which m4_screen can be fitted"
)
_GUIDES = "provide log fold changes of guides, to which m4_screen can be fitted"
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
    noise_of_lines: Sequence[tuple[str, float]] = (),
    *,
    gene_level: bool = False,
) -> Verdict:
    """Return the worst status of all findings, each finding as a sentence.

    A failed posterior predictive check that bears on beta gives `review`: where measurements are
    not as independent as the model assumes, every interval of beta has a wrong width. Other failed
    checks are notes, and so are the reason of a fallback to another engine (`fell_back`), an R-hat
    above its limit of the fit without copy number, which is only compared with, and cell lines far
    noisier than the others (`noise_of_lines`: see `describe_noisy_lines`). `gene_level`: whether
    there is one value per gene-line pair; then the verdict is `review` at best.
    """
    failed_checks = [check for check in checks if _has_failed(check, parameters.thresholds)]
    findings = [
        *_convergence_findings(convergence, parameters),
        *_dependence_findings(
            [check for check in failed_checks if check.bears_on_beta and check.name != SLOPE_TAILS],
            parameters.model,
        ),
        *_slope_findings(
            [check for check in failed_checks if check.name == SLOPE_TAILS],
            parameters.model,
            _GUIDES if gene_level else "use --model m4_screen",
        ),
        *([("review", _GENE_LEVEL.format(model=parameters.model))] if gene_level else []),
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
            *filter(None, [describe_noisy_lines(noise_of_lines, parameters.model)]),
            *(
                describe_misfit(check, parameters.model)
                for check in failed_checks
                if not check.bears_on_beta
            ),
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
            f"the chains disagree about {', '.join(apart)}: largest R-hat is "
            f"{measured.rhat_max:.3f} ({measured.worst[0][0]}), expected at most "
            f"{thresholds.rhat_max}; {remedy(apart)}",
        )
    few = _failing(measured, lambda v: v.ess_bulk_judged >= thresholds.ess_min)
    if not measured.ess_bulk_judged >= thresholds.ess_min:
        yield "fail", _small_ess("bulk", measured.ess_bulk_min, few, thresholds) + remedy(few)
    few = _failing(measured, lambda v: v.ess_tail_judged >= thresholds.ess_min)
    if not measured.ess_tail_judged >= thresholds.ess_min:
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
            f"part of the posterior may be missed: {measured.divergences} of {n_draws} draws "
            f"diverged ({share:.2%}); raise --target-accept",
        )
    if not measured.bfmi_min >= thresholds.bfmi_min:
        yield (
            "fail" if math.isnan(measured.bfmi_min) else "review",
            f"the sampler explores the tails slowly: smallest energy BFMI is "
            f"{measured.bfmi_min:.2f}, expected at least {thresholds.bfmi_min:.2f}; raise --tune",
        )


def exact_findings(
    measured: ExactDiagnostics, thresholds: Thresholds
) -> Iterator[tuple[Status, str]]:
    """Yield the problems of an integration, each with its status."""
    if not measured.pareto_k <= thresholds.pareto_k_max:
        yield (
            "fail",
            "a few points dominate, and the draws repeat them: Pareto k of the importance weights "
            f"is {measured.pareto_k:.2f}, expected at most {thresholds.pareto_k_max:g}; "
            f"{SAMPLE_INSTEAD}",
        )
    if not measured.n_effective_points >= thresholds.ess_min:
        yield (
            "fail",
            f"the draws repeat too few points: the {measured.n_points} weighted points behind them "
            f"are equivalent to {measured.n_effective_points:.0f} of equal weight, expected at "
            f"least {thresholds.ess_min:g}; {MORE_DRAWS}, or {SAMPLE_INSTEAD}",
        )
    if not measured.interpolation_error <= thresholds.interpolation_error_max:
        yield (
            "fail" if math.isnan(measured.interpolation_error) else "review",
            "the log weights of the draws may be wrong: the error of the interpolated log density "
            f"is {measured.interpolation_error:.2g} at new points, expected at most "
            f"{thresholds.interpolation_error_max:g}; {SAMPLE_INSTEAD}",
        )
    if not math.isfinite(measured.log_evidence):
        yield (
            "fail",
            f"the density could not be integrated: the log evidence is {measured.log_evidence}, "
            f"expected a finite number; {SAMPLE_INSTEAD}",
        )


def exact_failures(measured: ExactDiagnostics, thresholds: Thresholds) -> list[str]:
    """Return why an integration failed; empty where it did not."""
    return [reason for status, reason in exact_findings(measured, thresholds) if status == "fail"]


def _small_ess(kind: str, size: float, variables: list[str], thresholds: Thresholds) -> str:
    return (
        f"the draws of {', '.join(variables)} are too few or too correlated: smallest {kind} "
        f"effective sample size is {size:.0f}, expected at least {thresholds.ess_min:.0f}; "
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
        "the intervals of beta have a wrong width, because measurements depend on each other "
        f"otherwise than {model} assumes: "
        + "; ".join(describe_misfit(check, model) for check in failed_checks)
        + f"; {DEPENDENCE_REMEDIES[model]}",
    )


def _slope_findings(
    failed_checks: Sequence[PredictiveCheck], model: ModelName, remedy: str
) -> Iterator[tuple[Status, str]]:
    for check in failed_checks:
        yield (
            "review",
            f"a few genes have far larger slopes than the rest, which {model} does not expect: "
            "many calls are then of genes without an effect, and the largest slopes are too small "
            f"(kurtosis of the slopes, check {check.name}: {numbers(check)}); {remedy}",
        )


def _other_fit_notes(rhat: float | None, thresholds: Thresholds) -> Iterator[str]:
    if rhat is not None and not rhat <= thresholds.rhat_max:
        yield (
            f"largest R-hat of the fit without copy number is {rhat:.3f}, expected at most "
            f"{thresholds.rhat_max}: carried_by_copy_number is unreliable; {MORE_DRAWS}"
        )

"""The verdict: from measured convergence and checks to pass, review or fail, with reasons.

Thresholds are `schemas.parameters.Thresholds`; the measures are `model.convergence` and
`model.checks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from schemas.parameters import FitParameters, ModelName, Thresholds
from schemas.reports import (
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
    "in {model} the data do not hold the additive shift between alpha and gamma, and chains "
    "wander along it; --engine exact has no chains"
)
SHIFT_MENDS: dict[ModelName, str] = {
    "m4": _SHIFT.format(model="m4")
    + ", and --model m4_zero_mean removes it and leaves beta as it is",
    "m4_nested": _SHIFT.format(model="m4_nested"),
}


def give_verdict(
    convergence: Convergence,
    checks: Sequence[PredictiveCheck],
    parameters: FitParameters,
    fell_back: str = "",
) -> Verdict:
    """Return the worst status that convergence asks for, with every finding as a sentence.

    A predictive check outside its limits is a remark: the posterior is the model's, and the remark
    says in which way the data are not. So is why an engine fell back on another (`fell_back`).
    """
    findings = list(_convergence_findings(convergence, parameters))
    statuses = {status for status, _ in findings}
    status: Status = "fail" if "fail" in statuses else "review" if "review" in statuses else "pass"
    reasons = sorted(findings, key=lambda finding: finding[0] != "fail")
    return Verdict(
        status=status,
        reasons=tuple(reason for _, reason in reasons),
        remarks=(
            *(
                (f"NUTS sampled, because the exact engine could not: {fell_back}",)
                * bool(fell_back)
            ),
            *_check_remarks(checks, parameters.thresholds),
        ),
    )


def _convergence_findings(
    measured: Convergence, parameters: FitParameters
) -> Iterator[tuple[Status, str]]:
    thresholds = parameters.thresholds
    explained = False

    def mend(variables: list[str]) -> str:
        nonlocal explained
        if measured.nuts is None:
            return MORE_DRAWS
        shift = SHIFT_MENDS.get(parameters.model)
        if shift is None or not set(variables) <= SHIFTING:
            return MORE_STEPS
        text = "the same shift" if explained else shift
        explained = True
        return text

    # Each limit is written as "not good", so that NaN, which compares false, fails.
    if not measured.rhat_max <= thresholds.rhat_max:
        apart = _those(measured, lambda v: v.rhat_max <= thresholds.rhat_max)
        yield (
            "fail",
            f"largest R-hat is {measured.rhat_max:.3f} ({measured.worst[0][0]}), expected at most "
            f"{thresholds.rhat_max}: the chains disagree about {', '.join(apart)}; {mend(apart)}",
        )
    few = _those(measured, lambda v: v.ess_bulk_min >= thresholds.ess_min)
    if not measured.ess_bulk_min >= thresholds.ess_min:
        yield "fail", _few("bulk", measured.ess_bulk_min, few, thresholds) + mend(few)
    few = _those(measured, lambda v: v.ess_tail_min >= thresholds.ess_min)
    if not measured.ess_tail_min >= thresholds.ess_min:
        yield "fail", _few("tail", measured.ess_tail_min, few, thresholds) + mend(few)
    if measured.nuts is not None:
        yield from _nuts_findings(measured.nuts, measured.n_draws, thresholds)
    if measured.exact is not None:
        yield from exact_findings(measured.exact, thresholds)
    if measured.nuts is None and measured.exact is None:
        yield (
            "fail",
            "the engine left no diagnostics of its own, expected those of a sampler or of an "
            "integration: nothing says whether the draws can stand; fit again with --engine nuts",
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
    """Yield what is wrong with an integration, each with the status it asks for."""
    if not measured.pareto_k <= thresholds.pareto_k_max:
        yield (
            "fail",
            f"Pareto k of the importance weights is {measured.pareto_k:.2f}, expected at most "
            f"{thresholds.pareto_k_max:g}: a few points outweigh all others, and the draws repeat "
            f"them; {SAMPLE_INSTEAD}",
        )
    if not measured.n_effective_points >= thresholds.ess_min:
        yield (
            "fail",
            f"the {measured.n_points} weighted points behind the draws are worth "
            f"{measured.n_effective_points:.0f} of equal weight, expected at least "
            f"{thresholds.ess_min:g}: the draws repeat too few points; {MORE_DRAWS}, or "
            f"{SAMPLE_INSTEAD}",
        )
    if not measured.interpolation_error <= thresholds.interpolation_error_max:
        yield (
            "fail" if math.isnan(measured.interpolation_error) else "review",
            f"the interpolated log density is off by {measured.interpolation_error:.2g} at fresh "
            f"points, expected at most {thresholds.interpolation_error_max:g}: the weights of the "
            f"draws may be wrong by as much; {SAMPLE_INSTEAD}",
        )
    if not math.isfinite(measured.log_evidence):
        yield (
            "fail",
            f"the log evidence is {measured.log_evidence}, expected a finite number: the density "
            f"could not be integrated; {SAMPLE_INSTEAD}",
        )


def _few(kind: str, size: float, variables: list[str], thresholds: Thresholds) -> str:
    return (
        f"smallest {kind} effective sample size is {size:.0f}, expected at least "
        f"{thresholds.ess_min:.0f}: the draws of {', '.join(variables)} are too few or too alike; "
    )


def _those(measured: Convergence, good: Callable[[VariableConvergence], bool]) -> list[str]:
    """Return the variables that are not good."""
    return [variable.variable for variable in measured.variables if not good(variable)]


def _check_remarks(checks: Sequence[PredictiveCheck], thresholds: Thresholds) -> Iterator[str]:
    for check in checks:
        tail = min(check.p_value, 1 - check.p_value)
        if check.stage == "posterior" and not tail >= thresholds.predictive_p_min:
            yield (
                f"predictive check {check.name}: {check.observed:.4g} in the data, "
                f"{check.replicated_low:.4g} to {check.replicated_high:.4g} under the model "
                f"(p = {check.p_value:.3f}). {check.description}"
            )

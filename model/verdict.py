"""The verdict: from measured convergence and checks to pass, review or fail, with reasons.

Thresholds are `schemas.parameters.Thresholds`; the measures are `model.convergence` and
`model.checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from schemas.parameters import FitParameters, Thresholds
from schemas.reports import Convergence, PredictiveCheck, Status, VariableConvergence, Verdict

MORE_DRAWS = "raise --draws and --tune"
SHIFTING = {"alpha_g", "gamma_c", "mu_alpha", "mu_gamma"}
SHIFT_MEND = (
    "in m4 the data do not hold the additive shift between alpha and gamma, and chains wander "
    "along it; --model m4_zero_mean removes it and leaves beta as it is"
)


def give_verdict(
    convergence: Convergence, checks: Sequence[PredictiveCheck], parameters: FitParameters
) -> Verdict:
    """Return the worst status that convergence asks for, with every finding as a sentence.

    A predictive check outside its limits is a remark: the posterior is the model's, and the remark
    says in which way the data are not.
    """
    findings = list(_convergence_findings(convergence, parameters))
    statuses = {status for status, _ in findings}
    status: Status = "fail" if "fail" in statuses else "review" if "review" in statuses else "pass"
    reasons = sorted(findings, key=lambda finding: finding[0] != "fail")
    return Verdict(
        status=status,
        reasons=tuple(reason for _, reason in reasons),
        remarks=tuple(_check_remarks(checks, parameters.thresholds)),
    )


def _convergence_findings(
    measured: Convergence, parameters: FitParameters
) -> Iterator[tuple[Status, str]]:
    thresholds = parameters.thresholds
    explained = False

    def mend(variables: list[str]) -> str:
        nonlocal explained
        if not (parameters.model == "m4" and set(variables) <= SHIFTING):
            return MORE_DRAWS
        text = "the same shift" if explained else SHIFT_MEND
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
    if measured.divergences:
        share = measured.divergences / measured.n_draws
        yield (
            "fail" if share > thresholds.max_divergence_share else "review",
            f"{measured.divergences} of {measured.n_draws} draws diverged ({share:.2%}): part of "
            "the posterior may be missed; raise --target-accept",
        )
    if not measured.bfmi_min >= thresholds.bfmi_min:
        yield (
            "review",
            f"smallest energy BFMI is {measured.bfmi_min:.2f}, expected at least "
            f"{thresholds.bfmi_min:.2f}: the sampler explores the tails slowly; raise --tune",
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

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
from schemas.shares import p_in_words

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

_NESTED = "take --model m4_nested, which has a variance for each"
DEPENDENCE_MENDS: dict[ModelName, str] = {
    "m4": _NESTED,
    "m4_zero_mean": _NESTED,
    "m4_nested": (
        "look at the pictures of the spread by gene and by line, and leave out what stands apart"
    ),
}


def give_verdict(
    convergence: Convergence,
    checks: Sequence[PredictiveCheck],
    parameters: FitParameters,
    fell_back: str = "",
) -> Verdict:
    """Return the worst status that convergence and checks ask for, each finding as a sentence.

    A posterior predictive check outside its limits asks for review where it bears on beta: where
    measurements are not the independent evidence the model takes them for, no interval of beta has
    the width it should. Others are notes: the posterior is the model's, and the note says in
    which way the data are not. So is why an engine fell back on another (`fell_back`).
    """
    unlike = [check for check in checks if _unlike_data(check, parameters.thresholds)]
    findings = [
        *_convergence_findings(convergence, parameters),
        *_dependence_findings([check for check in unlike if check.bears_on_beta], parameters.model),
    ]
    statuses = {status for status, _ in findings}
    status: Status = "fail" if "fail" in statuses else "review" if "review" in statuses else "pass"
    reasons = sorted(findings, key=lambda finding: finding[0] != "fail")
    return Verdict(
        status=status,
        reasons=tuple(reason for _, reason in reasons),
        notes=(
            *(
                (f"NUTS sampled, because the exact engine could not: {fell_back}",)
                * bool(fell_back)
            ),
            *(_check_note(check) for check in unlike if not check.bears_on_beta),
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


def exact_failures(measured: ExactDiagnostics, thresholds: Thresholds) -> list[str]:
    """Return why an integration cannot be relied on; nothing where it can."""
    return [reason for status, reason in exact_findings(measured, thresholds) if status == "fail"]


def _few(kind: str, size: float, variables: list[str], thresholds: Thresholds) -> str:
    return (
        f"smallest {kind} effective sample size is {size:.0f}, expected at least "
        f"{thresholds.ess_min:.0f}: the draws of {', '.join(variables)} are too few or too alike; "
    )


def _those(measured: Convergence, good: Callable[[VariableConvergence], bool]) -> list[str]:
    """Return the variables that are not good."""
    return [variable.variable for variable in measured.variables if not good(variable)]


def _unlike_data(check: PredictiveCheck, thresholds: Thresholds) -> bool:
    tail = min(check.p_value, 1 - check.p_value)
    return check.stage == "posterior" and not tail >= thresholds.predictive_p_min


def _dependence_findings(
    unlike: Sequence[PredictiveCheck], model: ModelName
) -> Iterator[tuple[Status, str]]:
    if not unlike:
        return
    yield (
        "fail" if any(math.isnan(check.p_value) for check in unlike) else "review",
        f"measurements of a guide, and of a gene in a line, depend on each other otherwise than "
        f"{model} has it, so that intervals of beta have a wrong width: "
        + ", ".join(f"{check.name} is {_data_and_model(check)}" for check in unlike)
        + f"; {DEPENDENCE_MENDS[model]}",
    )


def _check_note(check: PredictiveCheck) -> str:
    furthest = ", ".join(f"{label} ({ratio:.2g} times)" for label, ratio in check.furthest_out)
    return f"predictive check {check.name}: {_data_and_model(check)}. {check.description}" + (
        f" Furthest out, with their spread beside that of the model: {furthest}."
        if furthest
        else ""
    )


def _data_and_model(check: PredictiveCheck) -> str:
    return (
        f"{check.observed:.3g} in the data, {check.replicated_low:.3g} to "
        f"{check.replicated_high:.3g} under the model ({p_in_words(check.p_value, check.n_draws)})"
    )

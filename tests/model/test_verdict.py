"""What the verdict says of each finding, to the letter; how convergence is measured is elsewhere.

That every limit bites on real draws is `test_convergence`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from model.verdict import exact_failures, give_verdict
from schemas.parameters import FitParameters, Thresholds
from schemas.reports import (
    Convergence,
    ExactDiagnostics,
    NutsDiagnostics,
    VariableConvergence,
    Verdict,
)
from tests.model.predictive_checks import check_of

NUTS = NutsDiagnostics(divergences=0, bfmi_min=0.3, step_size_min=0.1, step_size_max=0.2)
EXACT = ExactDiagnostics(
    pareto_k=0.7,
    importance_efficiency=0.5,
    n_points=800,
    log_evidence=-10.0,
    log_evidence_mcse=0.01,
    interpolation_error=0.1,
    n_passes=9,
)
GOOD = {"rhat_max": 1.01, "ess_bulk_min": 400.0, "ess_tail_min": 400.0}  # just as asked for


def variable(name: str, **measures: float) -> VariableConvergence:
    return VariableConvergence(variable=name, **GOOD | measures)


def measured(*variables: VariableConvergence, **changes: Any) -> Convergence:
    """Convergence of 1,000 draws of NUTS, whose every measure is just as good as is asked for."""
    every = (*variables, variable("sigma"))
    return Convergence(
        rhat_max=max(one.rhat_max for one in every),
        ess_bulk_min=min(one.ess_bulk_min for one in every),
        ess_tail_min=min(one.ess_tail_min for one in every),
        mcse_mean_max_ratio=0.01,
        n_draws=1000,
        worst=(("the_worst", 1.0), ("another", 1.0)),
        variables=every,
        **{"nuts": NUTS} | changes,
    )


def verdict_of(convergence: Convergence, model: str = "m4", **thresholds: float) -> Verdict:
    parameters = FitParameters.model_validate({"model": model, "thresholds": thresholds})
    return give_verdict(convergence, (), parameters)


EXACTLY = {"nuts": None, "exact": EXACT}
STEPS = "raise --draws and --tune"


def shift(model: str) -> str:
    return (
        f"in {model} the data do not hold the additive shift between alpha and gamma, and chains "
        "wander along it; --engine exact has no chains"
    )


@pytest.mark.parametrize("engine", [{}, EXACTLY])
def test_what_is_just_as_good_as_asked_for_passes(engine):
    assert verdict_of(measured(**engine)) == Verdict(status="pass", reasons=(), notes=())


@pytest.mark.parametrize(
    ("model", "engine", "names", "mend"),
    [
        ("m4_zero_mean", {}, ("mu_alpha",), STEPS),
        ("m4_zero_mean", EXACTLY, ("mu_alpha",), "raise --draws"),
        ("m4", EXACTLY, ("alpha_g",), "raise --draws"),
        ("m4", {}, ("mu_alpha", "beta_g"), STEPS),
        (
            "m4",
            {},
            ("mu_alpha", "mu_gamma", "alpha_g", "gamma_c"),
            shift("m4") + ", and --model m4_zero_mean removes it and leaves beta as it is",
        ),
        ("m4_nested", {}, ("gamma_c",), shift("m4_nested")),
    ],
)
def test_chains_apart_are_named_with_what_mends_them(model, engine, names, mend):
    apart = [variable(name, rhat_max=1.0349) for name in names]
    verdict = verdict_of(measured(*apart, **engine), model)
    assert verdict.status == "fail"
    assert verdict.reasons == (
        "largest R-hat is 1.035 (the_worst), expected at most 1.01: the chains disagree about "
        f"{', '.join(names)}; {mend}",
    )


@pytest.mark.parametrize("kind", ["bulk", "tail"])
def test_too_small_a_sample_is_named_with_what_mends_it(kind):
    few = {f"ess_{kind}_min": 199.6}
    said = (
        f"smallest {kind} effective sample size is 200, expected at least 400: the draws of "
        "beta_g, mu_beta are too few or too alike; "
    )
    poor = (variable("beta_g", **few), variable("alpha_g"), variable("mu_beta", **few))
    for engine, mend in (({}, STEPS), (EXACTLY, "raise --draws")):
        verdict = verdict_of(measured(*poor, **engine))
        assert (verdict.status, verdict.reasons) == ("fail", (said + mend,))
    assert verdict_of(measured(*poor), ess_min=199).status == "pass"
    (moved,) = verdict_of(measured(variable("mu_gamma", **few)), "m4_nested").reasons
    assert moved.endswith(f"mu_gamma are too few or too alike; {shift('m4_nested')}")


def test_the_shift_is_explained_once():
    every = {"rhat_max": 2.0, "ess_bulk_min": 9.0, "ess_tail_min": 8.0}
    first, second, third = verdict_of(measured(variable("alpha_g", **every))).reasons
    assert "R-hat is 2.000" in first and "the additive shift" in first
    assert "bulk effective sample size is 9" in second and "tail" in third
    assert second.endswith("; the same shift") and third.endswith("; the same shift")


@pytest.mark.parametrize("measure", list(GOOD))
def test_a_measure_that_is_not_known_fails(measure):
    unknown = measured(variable("beta_g", **{measure: np.nan}))
    verdict = verdict_of(unknown.model_copy(update={measure: np.nan}))
    assert verdict.status == "fail"
    (reason,) = verdict.reasons
    assert " is nan" in reason and "beta_g" in reason and "sigma" not in reason


@pytest.mark.parametrize(
    ("divergences", "status", "said"),
    [
        (1, "review", "1 of 1000 draws diverged (0.10%)"),
        (2, "fail", "2 of 1000 draws diverged (0.20%)"),
    ],
)
def test_divergences_are_a_share_of_the_draws(divergences, status, said):
    nuts = NUTS.model_copy(update={"divergences": divergences})
    verdict = verdict_of(measured(nuts=nuts))
    assert verdict.status == status
    assert verdict.reasons == (
        f"{said}: part of the posterior may be missed; raise --target-accept",
    )


@pytest.mark.parametrize(("bfmi", "status"), [(0.299, "review"), (np.nan, "fail")])
def test_slow_energy_is_named(bfmi, status):
    verdict = verdict_of(measured(nuts=NUTS.model_copy(update={"bfmi_min": bfmi})))
    assert verdict.status == status
    assert verdict.reasons == (
        f"smallest energy BFMI is {bfmi:.2f}, expected at least 0.30: the sampler explores the "
        "tails slowly; raise --tune",
    )


BEHIND = "the 800 weighted points behind the draws are worth"


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        (
            {"pareto_k": 0.712},
            "fail",
            "Pareto k of the importance weights is 0.71, expected at most 0.7: a few points "
            "outweigh all others, and the draws repeat them; sample it with --engine nuts",
        ),
        (
            {"importance_efficiency": 0.4},
            "fail",
            f"{BEHIND} 320 of equal weight, expected at least 400: the draws repeat too few "
            "points; raise --draws, or sample it with --engine nuts",
        ),
        (
            {"interpolation_error": 0.1234},
            "review",
            "the interpolated log density is off by 0.12 at fresh points, expected at most 0.1: "
            "the weights of the draws may be wrong by as much; sample it with --engine nuts",
        ),
        (
            {"interpolation_error": np.nan},
            "fail",
            "the interpolated log density is off by nan at fresh points, expected at most 0.1: "
            "the weights of the draws may be wrong by as much; sample it with --engine nuts",
        ),
        (
            {"log_evidence": np.inf},
            "fail",
            "the log evidence is inf, expected a finite number: the density could not be "
            "integrated; sample it with --engine nuts",
        ),
    ],
)
def test_of_an_integration_each_failure_is_named(changes, status, said):
    exact = EXACT.model_copy(update=changes)
    verdict = verdict_of(measured(nuts=None, exact=exact))
    assert (verdict.status, verdict.reasons) == (status, (said,))
    assert exact_failures(exact, Thresholds()) == ([said] if status == "fail" else [])


def test_an_engine_without_diagnostics_fails():
    verdict = verdict_of(measured(nuts=None))
    assert verdict.status == "fail"
    assert verdict.reasons == (
        "the engine left no diagnostics of its own, expected those of a sampler or of an "
        "integration: nothing says whether the draws can stand; fit again with --engine nuts",
    )


def test_what_fails_stands_before_what_is_to_be_reviewed():
    exact = EXACT.model_copy(update={"interpolation_error": 0.2, "log_evidence": np.nan})
    checks = (check("guide_variance", 0.0, bears_on_beta=True),)
    verdict = give_verdict(measured(nuts=None, exact=exact), checks, FitParameters())
    assert verdict.status == "fail"
    assert [reason[:12] for reason in verdict.reasons] == [
        "the log evid",
        "the interpol",
        "measurements",
    ]


# ---- checks


check = partial(check_of, observed=1.2345, replicated_low=1.8765, replicated_high=2.1234)
NUMBERS = "1.23 in the data, 1.88 to 2.12 under the model"


@pytest.mark.parametrize(
    ("model", "mend"),
    [
        ("m4", "take --model m4_nested, which has a variance for each"),
        ("m4_zero_mean", "take --model m4_nested, which has a variance for each"),
        (
            "m4_nested",
            "look at the pictures of the spread by gene and by line, and leave out what stands "
            "apart",
        ),
    ],
)
def test_dependence_is_named_with_its_numbers(model, mend):
    checks = [
        check("one", 0.0, bears_on_beta=True),
        check("calm", 0.005, bears_on_beta=True),  # just within the limits
        check("sd", 0.0),
        check("other", 0.996, bears_on_beta=True),
    ]
    verdict = give_verdict(measured(), checks, FitParameters(model=model))
    assert verdict.status == "review"
    assert verdict.reasons == (
        "measurements of a guide, and of a gene in a line, depend on each other otherwise than "
        f"{model} has it, so that intervals of beta have a wrong width: one is {NUMBERS} "
        f"(p < 0.002), other is {NUMBERS} (p = 0.996); {mend}",
    )
    assert verdict.notes == (f"predictive check sd: {NUMBERS} (p < 0.002). What sd shows.",)


def test_one_check_that_is_not_known_fails_beside_others():
    checks = [check("one", 0.0, bears_on_beta=True), check("other", np.nan, bears_on_beta=True)]
    assert give_verdict(measured(), checks, FitParameters()).status == "fail"


def test_notes_say_first_that_the_engine_fell_back():
    furthest = check("sd", 0.004).model_copy(update={"furthest_out": (("A", 2.345), ("B", 0.5))})
    checks = [check("mean", 0.005), furthest, check("tail_weight", 1.0)]
    verdict = give_verdict(measured(), checks, FitParameters(), fell_back="no maximum was found")
    assert (verdict.status, verdict.reasons) == ("pass", ())
    assert verdict.notes == (
        "NUTS sampled, because the exact engine could not: no maximum was found",
        f"predictive check sd: {NUMBERS} (p = 0.004). What sd shows. Furthest out, with their "
        "spread beside that of the model: A (2.3 times), B (0.5 times).",
        f"predictive check tail_weight: {NUMBERS} (p > 0.998). What tail_weight shows.",
    )

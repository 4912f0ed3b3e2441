"""The verdict: which finding fails a fit, which asks for review, and what the reason names."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from model.diagnostics.verdict import exact_failures, give_verdict
from schemas.parameters import FitParameters, Thresholds
from schemas.reports import (
    Convergence,
    ExactDiagnostics,
    NutsDiagnostics,
    PredictiveCheck,
    VariableConvergence,
    Verdict,
)
from tests.model.predictive_checks import check_of

# Every measure just meets its limit.
LIMITS = {"rhat_max": 1.01, "ess_bulk_min": 400.0, "ess_tail_min": 400.0}
NUTS = NutsDiagnostics(divergences=0, bfmi_min=0.3, step_size_min=0.1, step_size_max=0.2)
EXACT = ExactDiagnostics(
    pareto_k=0.7, importance_efficiency=0.5, n_points=800, log_evidence=-10.0,
    log_evidence_mcse=0.01, interpolation_error=0.1, n_passes=9,
)  # fmt: skip
SAMPLED, INTEGRATED = {"nuts": NUTS}, {"exact": EXACT}
PASSED = Verdict(status="pass", reasons=(), notes=())


def measured(engine: dict[str, Any], **variables: dict[str, float]) -> Convergence:
    """1,000 draws with these measures of some variables; `sigma` meets every limit."""
    every = {name: LIMITS | measures for name, measures in (variables | {"sigma": {}}).items()}
    worst = {
        name: (np.max if name == "rhat_max" else np.min)([own[name] for own in every.values()])
        for name in LIMITS
    }
    return Convergence(
        **worst,
        mcse_mean_max_ratio=0.01,
        n_draws=1000,
        worst=(("the_worst", 1.0), ("another", 1.0)),
        variables=tuple(VariableConvergence(variable=name, **own) for name, own in every.items()),
        **engine,
    )


def verdict_of(convergence: Convergence, *checks: PredictiveCheck, model: str = "m4") -> Verdict:
    return give_verdict(convergence, checks, FitParameters.model_validate({"model": model}))


@pytest.mark.parametrize(
    ("measure", "value", "words"),
    [
        ("rhat_max", 1.0349, "R-hat is 1.035 (the_worst), expected at most 1.01"),
        ("ess_bulk_min", 199.6, "bulk effective sample size is 200, expected at least 400"),
        ("ess_tail_min", 199.6, "tail effective sample size is 200, expected at least 400"),
        *((measure, np.nan, " is nan") for measure in LIMITS),
    ],
)
@pytest.mark.parametrize(
    ("model", "engine", "names", "advice", "not_advised"),
    [
        ("m4_zero_mean", SAMPLED, ["mu_alpha"], "raise --draws and --tune", "shift"),
        ("m4_zero_mean", INTEGRATED, ["mu_alpha"], "raise --draws", "--tune"),
        ("m4", INTEGRATED, ["alpha_g"], "raise --draws", "shift"),
        ("m4", SAMPLED, ["mu_alpha", "beta_g"], "raise --draws and --tune", "shift"),
        ("m4", SAMPLED, ["mu_alpha", "mu_gamma", "alpha_g", "gamma_c"], "m4_zero_mean", "--tune"),
        ("m4_nested", SAMPLED, ["gamma_c"], "--engine exact", "m4_zero_mean"),
    ],
)
def test_poor_convergence_fails_with_variables_and_advice(
    measure, value, words, model, engine, names, advice, not_advised
):
    poor = measured(engine, **{name: {measure: value} for name in names}, mu_beta={})
    verdict = verdict_of(poor, model=model)
    (reason,) = verdict.reasons
    assert verdict.status == "fail" and words in reason and f" {', '.join(names)}" in reason
    assert "sigma" not in reason and "mu_beta" not in reason
    assert advice in reason and not_advised not in reason
    assert ("additive shift" in reason) == ("--engine exact" in reason) == ("shift" in reason)
    assert verdict_of(measured(engine, mu_beta={}), model=model) == PASSED


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"divergences": 1}, "review", ["1 of 1000 draws", "(0.10%)", "raise --target-accept"]),
        ({"divergences": 2}, "fail", ["2 of 1000 draws", "(0.20%)", "raise --target-accept"]),
        ({"bfmi_min": 0.294}, "review", ["BFMI is 0.29", "at least 0.30", "raise --tune"]),
        ({"bfmi_min": np.nan}, "fail", ["BFMI is nan", "at least 0.30", "raise --tune"]),
        ({"pareto_k": 0.712}, "fail", ["Pareto k", " 0.71", "at most 0.7;", "--engine nuts"]),
        ({"importance_efficiency": 0.4}, "fail",
         ["800 weighted points", "320 of equal", "at least 400", "--draws", "--engine nuts"]),
        ({"interpolation_error": 0.1234}, "review", ["log density is 0.12 ", "most 0.1;"]),
        ({"interpolation_error": np.nan}, "fail", ["density is nan", "--engine nuts"]),
        ({"log_evidence": np.inf}, "fail", ["log evidence is inf", "finite", "--engine nuts"]),
        ({}, "fail", ["expected diagnostics", "--engine nuts"]),
    ],
)  # fmt: skip
def test_each_measure_of_an_engine_has_its_limit(changes, status, words):
    if not changes:
        verdict = verdict_of(measured({}))
    elif set(changes) <= set(NutsDiagnostics.model_fields):
        verdict = verdict_of(measured({"nuts": NUTS.model_copy(update=changes)}))
    else:
        exact = EXACT.model_copy(update=changes)
        verdict = verdict_of(measured({"exact": exact}))
        failures = exact_failures(exact, Thresholds())
        assert failures == [*verdict.reasons] * (status == "fail")
    (reason,) = verdict.reasons
    assert verdict.status == status and all(word in reason for word in words)


check = partial(check_of, observed=1.2345, replicated_low=1.8765, replicated_high=2.1234)
NUMBERS = "1.23 in the data, 1.88 to 2.12 under the model, p "


@pytest.mark.parametrize(
    ("p_value", "status", "words"),
    [
        (0.005, "pass", ""), (0.995, "pass", ""), (0.0049, "review", "p = 0.005)"),
        (0.9951, "review", "p = 0.995)"), (0.0, "review", "p < 0.002)"), (np.nan, "fail", ""),
    ],
)  # fmt: skip
def test_a_check_beyond_its_limits_is_a_note_or_bears_on_beta(p_value, status, words):
    bears = verdict_of(measured(SAMPLED), check("one", p_value, bears_on_beta=True))
    other = verdict_of(measured(SAMPLED), check("one", p_value))
    assert (bears.status, bears.notes) == (status, ())
    assert (other.status, other.reasons) == ("pass", ())
    prior = check("one", p_value, stage="prior", bears_on_beta=True)
    assert verdict_of(measured(SAMPLED), prior) == PASSED
    if status != "pass":
        assert f"What one shows (check one: {NUMBERS}" in bears.reasons[0]
        assert f"What one shows (check one: {NUMBERS}" in other.notes[0]
        assert words in bears.reasons[0] and words in other.notes[0]


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean", "m4_nested"])
def test_failures_come_before_dependence_and_notes_begin_with_the_engine_that_gave_up(model):
    exact = EXACT.model_copy(update={"interpolation_error": 0.2, "log_evidence": np.nan})
    one, two = (check(name, p, bears_on_beta=True) for name, p in (("one", 0.0), ("two", 0.996)))
    furthest = check("sd", 0.0).model_copy(update={"largest_outliers": (("A", 2.345), ("B", 0.5))})
    verdict = give_verdict(
        measured({"exact": exact}), [one, furthest, two], FitParameters(model=model), "no maximum"
    )
    evidence, error, dependence = verdict.reasons
    assert verdict.status == "fail" and "evidence" in evidence and "interpolated" in error
    assert f"one: {NUMBERS}< 0.002); " in dependence and f"two: {NUMBERS}= 0.996)" in dependence
    assert f" {model} " in dependence and "intervals of beta" in dependence
    assert ("leave out" in dependence) == (model == "m4_nested")
    assert ("--model m4_screen" in dependence) == (model != "m4_nested")
    fell_back, note = verdict.notes
    assert "NUTS" in fell_back and fell_back.endswith(": no maximum")
    assert note.startswith(f"the measurements spread less than {model} expects: A 2.3 times, B 0.5")
    noisy = (("L1 (HEL)", 5.83), ("L2", 2.9))
    (note,) = give_verdict(
        measured(SAMPLED), [], FitParameters(model=model), noise_of_lines=noisy
    ).notes
    assert note.startswith("one cell line, L1 (HEL), is 5.8 times as noisy as the median line; ")
    assert "--without-cell-lines" in note and "L2" not in note
    per_gene = give_verdict(measured(SAMPLED), (), FitParameters(model=model), gene_level=True)
    assert per_gene.status == "review" and "calibrate --on" in per_gene.reasons[0]
    unknown = [one, check("two", np.nan, bears_on_beta=True)]
    assert verdict_of(measured(SAMPLED), *unknown).status == "fail"

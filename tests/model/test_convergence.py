"""Convergence measures and the verdict; every limit is shown to bite."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from model.convergence import assess_convergence
from model.summary import parameter_summary
from model.verdict import give_verdict
from schemas.parameters import FitParameters
from schemas.reports import Convergence, ExactDiagnostics, VariableConvergence
from tests.model.predictive_checks import check_of

INTEGRATED = {
    "pareto_k": 0.1,
    "importance_efficiency": 0.875,
    "n_points": 8192,
    "log_evidence": -123.5,
    "log_evidence_mcse": 0.004,
    "interpolation_error": 0.0,
    "n_passes": 25,
}


def tree_of(**variables) -> xr.DataTree:
    """Independent normal draws, 4 chains x 1,000 of NUTS, with `variables` in place of some."""
    random = np.random.default_rng(1)
    shape = (4, 1000)
    posterior = {"mu_alpha": random.normal(size=shape), "beta_g": random.normal(size=(*shape, 2))}
    statistics = {
        "diverging": np.zeros(shape, bool),
        "energy": random.normal(size=shape),
        "step_size": np.full(shape, 0.5),
    }
    for name, values in variables.items():
        (statistics if name in statistics else posterior)[name] = values
    dims = ("chain", "draw")
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {k: ((*dims, *("gene",)[: v.ndim - 2]), v) for k, v in posterior.items()},
                coords={"gene": ["A", "B"]},
            ),
            "sample_stats": xr.Dataset({k: (dims, v) for k, v in statistics.items()}),
        }
    )


def exact_tree_of(statistics=INTEGRATED, **variables) -> xr.DataTree:
    """The same draws, come from the exact engine."""
    tree = tree_of(**variables)
    log_density = xr.DataArray(np.zeros((4, 1000)), dims=("chain", "draw"))
    tree["sample_stats"] = xr.DataTree(xr.Dataset({"log_density": log_density, **statistics}))
    return tree


def measured_in(tree) -> Convergence:
    return assess_convergence(tree, parameter_summary(tree))


def verdict_of(tree, model="m4", checks=()):
    return give_verdict(measured_in(tree), checks, FitParameters(model=model))


def test_independent_draws_pass():
    measured = measured_in(tree_of())
    assert measured.rhat_max < 1.01
    assert measured.ess_bulk_min > 3000
    assert 0.9 < measured.mcse_mean_max_ratio * np.sqrt(4000) < 1.2
    assert measured.n_draws == 4000
    assert verdict_of(tree_of()).status == "pass"


def test_the_measures_are_the_worst_of_the_table_of_parameters():
    slow = np.cumsum(np.random.default_rng(5).normal(size=(4, 1000)), axis=1)
    beta = np.stack([np.random.default_rng(6).normal(size=(4, 1000)), slow], axis=-1)
    tree = tree_of(beta_g=beta)
    table = parameter_summary(tree).set_index("parameter")
    measured = measured_in(tree)
    row = table.loc["beta_g[B]"]
    assert measured.rhat_max == row["r_hat"] == measured.worst[0][1]
    assert measured.worst[0][0] == "beta_g[B]"
    assert (measured.ess_bulk_min, measured.ess_tail_min) == (row["ess_bulk"], row["ess_tail"])
    assert measured.mcse_mean_max_ratio == row["mcse_mean"] / row["sd"]
    alpha, beta_g = measured.variables
    assert (alpha.variable, alpha.rhat_max) == ("mu_alpha", table["r_hat"]["mu_alpha"])
    assert (beta_g.variable, beta_g.ess_tail_min) == ("beta_g", row["ess_tail"])


def test_each_engine_is_asked_its_own():
    sampled, integrated = measured_in(tree_of()), measured_in(exact_tree_of())
    assert sampled.exact is None and sampled.nuts is not None
    assert (sampled.nuts.divergences, sampled.nuts.step_size_max) == (0, 0.5)
    assert 0.9 < sampled.nuts.bfmi_min < 3
    assert integrated.nuts is None
    assert integrated.exact == ExactDiagnostics.model_validate(INTEGRATED)
    assert integrated.exact.n_effective_points == 7168


def test_chains_apart_fail_and_are_named():
    apart = np.random.default_rng(2).normal(size=(4, 1000)) + np.arange(4)[:, None]
    verdict = verdict_of(tree_of(mu_alpha=apart))
    assert verdict.status == "fail"
    assert "R-hat" in verdict.reasons[0] and "mu_alpha" in verdict.reasons[0]
    assert "m4_zero_mean" in verdict.reasons[0] and "--engine exact" in verdict.reasons[0]


def test_the_shift_does_not_hide_a_slope_that_does_not_converge():
    random = np.random.default_rng(2)
    apart = random.normal(size=(4, 1000)) + 10 * np.arange(4)[:, None]
    slope = random.normal(size=(4, 1000, 2)) + 0.5 * np.arange(4)[:, None, None]
    reason = verdict_of(tree_of(mu_alpha=apart, beta_g=slope)).reasons[0]
    assert "mu_alpha, beta_g" in reason
    assert "m4_zero_mean" not in reason


def test_the_shift_is_explained_where_it_is_first_named():
    """A slope gives the first reason and the shift the later ones."""
    poor = {"variable": "mu_alpha", "rhat_max": 1.0, "ess_bulk_min": 90, "ess_tail_min": 80}
    slope = {"variable": "beta_g", "rhat_max": 1.2, "ess_bulk_min": 500, "ess_tail_min": 500}
    measured = measured_in(tree_of()).model_copy(
        update={
            "rhat_max": 1.2,
            "ess_bulk_min": 90,
            "ess_tail_min": 80,
            "variables": (VariableConvergence(**poor), VariableConvergence(**slope)),
        }
    )
    verdict = give_verdict(measured, (), FitParameters(model="m4"))
    assert verdict.status == "fail"
    first, second, third = verdict.reasons
    assert "beta_g" in first and first.endswith("raise --draws and --tune")
    assert "mu_alpha" in second and "m4_zero_mean" in second
    assert "mu_alpha" in third and third.endswith("the same shift")


def test_a_tail_alone_fails_a_fit():
    poor = {"variable": "mu_alpha", "rhat_max": 1.0, "ess_bulk_min": 900, "ess_tail_min": 80}
    measured = measured_in(tree_of()).model_copy(
        update={"ess_tail_min": 80, "variables": (VariableConvergence(**poor),)}
    )
    assert give_verdict(measured, (), FitParameters(model="m4_zero_mean")).status == "fail"


def test_other_models_are_not_told_of_the_shift():
    apart = np.random.default_rng(2).normal(size=(4, 1000)) + np.arange(4)[:, None]
    assert "shift" not in verdict_of(tree_of(mu_alpha=apart), "m4_zero_mean").reasons[0]


def test_the_nested_model_shifts_too_and_has_no_zero_mean_form():
    apart = np.random.default_rng(2).normal(size=(4, 1000)) + np.arange(4)[:, None]
    reason = verdict_of(tree_of(mu_alpha=apart), "m4_nested").reasons[0]
    assert "in m4_nested the data do not hold the additive shift" in reason
    assert "--engine exact" in reason and "m4_zero_mean" not in reason


def test_slow_chains_fail_by_effective_sample_size():
    random = np.random.default_rng(3)
    slow = np.zeros((4, 1000))
    for step in range(1, 1000):
        slow[:, step] = 0.95 * slow[:, step - 1] + random.normal(size=4)
    reasons = " ".join(verdict_of(tree_of(mu_alpha=slow), "m4_zero_mean").reasons)
    assert "bulk effective sample size" in reasons


def test_a_chain_that_does_not_move_is_no_evidence():
    with np.errstate(divide="raise", invalid="raise"):
        measured = measured_in(tree_of(mu_alpha=np.zeros((4, 1000))))
    assert np.isnan(measured.rhat_max)
    assert measured.worst[0][0] == "mu_alpha"
    assert verdict_of(tree_of(mu_alpha=np.zeros((4, 1000)))).status == "fail"


def test_one_parameter_that_is_no_number_leaves_no_evidence_of_its_variable():
    beta = np.random.default_rng(6).normal(size=(4, 1000, 2))
    beta[0, 0, 1] = np.nan
    alpha, beta_g = measured_in(tree_of(beta_g=beta)).variables
    assert np.isnan([beta_g.rhat_max, beta_g.ess_bulk_min, beta_g.ess_tail_min]).all()
    assert np.isfinite([alpha.rhat_max, alpha.ess_bulk_min, alpha.ess_tail_min]).all()


@pytest.mark.parametrize(("n", "status"), [(1, "review"), (100, "fail")])
def test_divergences(n, status):
    diverging = np.zeros((4, 1000), bool)
    diverging.flat[:n] = True
    verdict = verdict_of(tree_of(diverging=diverging))
    assert verdict.status == status
    assert f"{n} of 4000 draws diverged" in verdict.reasons[0]


def test_slow_energy_is_reviewed():
    energy = np.cumsum(np.random.default_rng(4).normal(size=(4, 1000)), axis=1)
    verdict = verdict_of(tree_of(energy=energy))
    assert verdict.status == "review"
    assert "BFMI" in verdict.reasons[0]


def test_energy_that_is_not_known_is_no_evidence():
    assert verdict_of(tree_of(energy=np.full((4, 1000), np.nan))).status == "fail"


def test_an_integration_passes():
    assert verdict_of(exact_tree_of()).status == "pass"


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"pareto_k": 0.71}, "fail", ("Pareto k", "0.71", "--engine nuts")),
        ({"pareto_k": 0.69}, "pass", ()),
        ({"pareto_k": np.nan}, "fail", ("Pareto k",)),
        ({"n_points": 456}, "fail", ("worth 399", "at least 400", "raise --draws")),
        ({"n_points": 458}, "pass", ()),
        ({"importance_efficiency": np.nan}, "fail", ("worth nan",)),
        ({"interpolation_error": 0.2}, "review", ("off by 0.2", "--engine nuts")),
        ({"interpolation_error": 0.09}, "pass", ()),
        ({"interpolation_error": np.nan}, "fail", ("interpolated",)),
        ({"log_evidence": -np.inf}, "fail", ("log evidence is -inf",)),
        ({"log_evidence": np.nan}, "fail", ("log evidence",)),
    ],
)
def test_every_limit_of_an_integration(changes, status, words):
    verdict = verdict_of(exact_tree_of(INTEGRATED | changes))
    assert verdict.status == status
    assert len(verdict.reasons) == (status != "pass")
    assert all(word in verdict.reasons[0] for word in words)


def test_the_limits_of_an_integration_can_be_set():
    limits = {"pareto_k_max": 0.05, "interpolation_error_max": 0.5, "ess_min": 100}
    parameters = FitParameters.model_validate({"thresholds": limits})
    tree = exact_tree_of(INTEGRATED | {"interpolation_error": 0.2, "n_points": 200})
    verdict = give_verdict(measured_in(tree), (), parameters)
    assert [reason.split(" of ")[0] for reason in verdict.reasons] == ["Pareto k"]


def test_too_few_independent_draws_are_mended_by_more_draws_alone():
    few = np.random.default_rng(3).normal(size=(4, 1000))
    few[:, 1:] = few[:, :1]  # as if one point outweighed all others in each batch
    reasons = verdict_of(exact_tree_of(mu_alpha=few)).reasons
    assert reasons
    assert all(reason.endswith("raise --draws") for reason in reasons)
    assert not any("shift" in reason for reason in reasons)


def test_an_engine_that_says_nothing_of_itself_is_no_evidence():
    tree = tree_of()
    tree["sample_stats"] = xr.DataTree(xr.Dataset())
    verdict = verdict_of(tree)
    assert verdict.status == "fail"
    assert "no diagnostics" in verdict.reasons[0]


@pytest.mark.parametrize(("p_value", "n_notes"), [(0.5, 0), (0.001, 1), (0.999, 1), (np.nan, 1)])
def test_a_failing_predictive_check_is_noted(p_value, n_notes):
    verdict = verdict_of(tree_of(), checks=[check_of(p_value=p_value)])
    assert verdict.status == "pass" and len(verdict.notes) == n_notes


def test_a_note_names_what_is_furthest_out():
    check = check_of("line_residual_spread", 0.0).model_copy(
        update={"furthest_out": (("ACH-000007", 2.345), ("ACH-000009", 0.5))}
    )
    (note,) = verdict_of(tree_of(), checks=[check]).notes
    assert note.endswith("that of the model: ACH-000007 (2.3 times), ACH-000009 (0.5 times).")


@pytest.mark.parametrize(
    ("p_value", "said"), [(0.0, "(p < 0.002)"), (1.0, "(p > 0.998)"), (0.004, "(p = 0.004)")]
)
def test_a_note_says_of_p_no_more_than_the_draws_do(p_value, said):
    (note,) = verdict_of(tree_of(), checks=[check_of(p_value=p_value)]).notes
    assert said in note


@pytest.mark.parametrize(
    ("p_value", "status"), [(0.5, "pass"), (0.001, "review"), (0.999, "review"), (np.nan, "fail")]
)
def test_a_failing_check_that_bears_on_beta_is_reviewed(p_value, status):
    checks = [check_of("guide_variance", p_value, bears_on_beta=True)]
    verdict = verdict_of(tree_of(), checks=checks)
    assert verdict.status == status and not verdict.notes
    if status != "pass":
        (reason,) = verdict.reasons
        assert "guide_variance is 1 in the data, 1.9 to 2.1 under the model" in reason
        assert "intervals of beta" in reason and reason.endswith("a variance for each")


def test_all_dependence_is_one_reason_with_the_mend_of_the_model():
    checks = [check_of(name, 0.0, bears_on_beta=True) for name in ("one", "other")]
    (reason,) = verdict_of(tree_of(), "m4_nested", checks).reasons
    assert "one is" in reason and "other is" in reason
    assert "--model m4_nested" not in reason and "leave out what stands apart" in reason


def test_the_prior_is_judged_by_nobody():
    checks = [check_of(p_value=0.0, stage="prior", bears_on_beta=True)]
    verdict = verdict_of(tree_of(), checks=checks)
    assert (verdict.status, verdict.reasons, verdict.notes) == ("pass", (), ())

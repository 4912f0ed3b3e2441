"""Convergence measures and the verdict; every limit is shown to bite."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from model.convergence import assess_convergence
from model.verdict import give_verdict
from schemas.parameters import FitParameters
from schemas.reports import PredictiveCheck, VariableConvergence


def tree_of(**variables) -> xr.DataTree:
    """Independent normal draws, 4 chains x 1,000, with `variables` in place of some."""
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


def verdict_of(tree, model="m4", checks=()):
    return give_verdict(assess_convergence(tree), checks, FitParameters(model=model))


def test_independent_draws_pass():
    measured = assess_convergence(tree_of())
    assert measured.rhat_max < 1.01
    assert measured.ess_bulk_min > 3000
    assert 0.9 < measured.mcse_mean_max_ratio * np.sqrt(4000) < 1.2
    assert (measured.divergences, measured.n_draws) == (0, 4000)
    assert verdict_of(tree_of()).status == "pass"


def test_chains_apart_fail_and_are_named():
    apart = np.random.default_rng(2).normal(size=(4, 1000)) + np.arange(4)[:, None]
    verdict = verdict_of(tree_of(mu_alpha=apart))
    assert verdict.status == "fail"
    assert "R-hat" in verdict.reasons[0] and "mu_alpha" in verdict.reasons[0]
    assert "m4_zero_mean" in verdict.reasons[0]


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
    measured = assess_convergence(tree_of()).model_copy(
        update={
            "rhat_max": 1.2,
            "ess_bulk_min": 90,
            "ess_tail_min": 80,
            "variables": (VariableConvergence(**poor), VariableConvergence(**slope)),
        }
    )
    first, second, third = give_verdict(measured, (), FitParameters(model="m4")).reasons
    assert "beta_g" in first and "raise --draws" in first
    assert "mu_alpha" in second and "m4_zero_mean" in second
    assert "mu_alpha" in third and third.endswith("the same shift")


def test_other_models_are_not_told_of_the_shift():
    apart = np.random.default_rng(2).normal(size=(4, 1000)) + np.arange(4)[:, None]
    assert "m4_zero_mean" not in verdict_of(tree_of(mu_alpha=apart), "m4_zero_mean").reasons[0]


def test_slow_chains_fail_by_effective_sample_size():
    random = np.random.default_rng(3)
    slow = np.zeros((4, 1000))
    for step in range(1, 1000):
        slow[:, step] = 0.95 * slow[:, step - 1] + random.normal(size=4)
    reasons = " ".join(verdict_of(tree_of(mu_alpha=slow), "m4_zero_mean").reasons)
    assert "bulk effective sample size" in reasons


def test_a_chain_that_does_not_move_is_no_evidence():
    measured = assess_convergence(tree_of(mu_alpha=np.zeros((4, 1000))))
    assert np.isnan(measured.rhat_max)
    assert measured.worst[0][0] == "mu_alpha"
    assert verdict_of(tree_of(mu_alpha=np.zeros((4, 1000)))).status == "fail"


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


@pytest.mark.parametrize(("p_value", "n_remarks"), [(0.5, 0), (0.001, 1), (0.999, 1), (np.nan, 1)])
def test_a_failing_predictive_check_is_remarked(p_value, n_remarks):
    check = PredictiveCheck(
        name="sd",
        description="",
        stage="posterior",
        observed=1,
        replicated_mean=2,
        replicated_low=1.9,
        replicated_high=2.1,
        p_value=p_value,
    )
    assert len(verdict_of(tree_of(), checks=[check]).remarks) == n_remarks

"""Convergence: the worst measures of all parameters, and the diagnostics of each engine."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.diagnostics.convergence import N_WORST, assess_convergence, rhat_beyond_chance
from model.diagnostics.summary import parameter_summary
from schemas.reports import Convergence, ExactDiagnostics, GibbsDiagnostics

INTEGRATED = {"pareto_k": 0.1, "importance_efficiency": 0.875, "n_points": 8192, "n_passes": 25}
INTEGRATED |= {"log_evidence": -123.5, "log_evidence_mcse": 0.004, "interpolation_error": 0.0}


def assessed(beta: np.ndarray, **statistics: Any) -> tuple[pd.DataFrame, Convergence]:
    """The table of `mu_alpha`, `beta_g` (chain, draw, gene) and `sigma`, and its assessment."""
    random, dims = np.random.default_rng(5), ("chain", "draw")
    posterior = {
        "mu_alpha": (dims, random.normal(size=beta.shape[:2])),
        "beta_g": ((*dims, "gene"), beta),
        "sigma": (dims, random.normal(size=beta.shape[:2])),
    }
    by_draw = {name: (dims, of) if np.ndim(of) else of for name, of in statistics.items()}
    groups = {
        "posterior": xr.Dataset(posterior, {"gene": [*"ABCDEFGHI"][: beta.shape[2]]}),
        "sample_stats": xr.Dataset(by_draw),
    }
    tree = xr.DataTree.from_dict(groups)
    table = parameter_summary(tree)
    with np.errstate(divide="raise", invalid="raise"):
        return table, assess_convergence(tree, table)


def normal(n_genes: int) -> np.ndarray:
    return np.random.default_rng(6).normal(size=(4, 1000, n_genes))


def test_the_measures_are_the_worst_of_the_table_of_parameters():
    drift = np.linspace(-1, 1, 1000)[:, None] * np.linspace(0, 2, 9)
    table, found = assessed(normal(9) + drift)
    assert (found.n_draws, found.nuts, found.exact) == (4000, None, None)
    assert found.mcse_mean_max_ratio == (table["mcse_mean"] / table["sd"]).max()
    worst = table.nlargest(N_WORST, "r_hat")
    assert found.worst == tuple(zip(worst["parameter"], worst["r_hat"], strict=True))
    assert [one.variable for one in found.variables] == ["mu_alpha", "beta_g", "sigma"]
    rows_of = [table[:1], table[1:10], table[10:], table]
    for one, rows in zip([*found.variables, found], rows_of, strict=True):
        measures = (one.rhat_max, one.ess_bulk_min, one.ess_tail_min)
        assert measures == (rows.r_hat.max(), rows.ess_bulk.min(), rows.ess_tail.min())


@pytest.mark.parametrize("n_short", [10, 20])
def test_of_very_many_nearly_all_must_have_the_effective_sample_size(n_short):
    """Some of 1,200 parameters move slowly; of 900, one is judged."""
    draws = np.random.default_rng(1).normal(size=(4, 250, 1200))
    draws[:, :, :n_short] = np.repeat(draws[:, ::10, :n_short], 10, axis=1)
    for n in (1200, 900):
        posterior = xr.Dataset({"b": (("chain", "draw", "g"), draws[:, :, :n])})
        empty = xr.Dataset()
        tree = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": empty})
        found = assess_convergence(tree, parameter_summary(tree))
        is_enough = n == 1200 and n_short == 10
        assert max(found.ess_bulk_min, found.ess_tail_min) < 300
        assert (found.ess_bulk_judged > 300, found.ess_tail_judged > 300) == (is_enough,) * 2


def test_the_worst_of_very_many_is_judged_as_the_worst():
    draws = np.random.default_rng(1).normal(size=(4, 250, 1200))
    apart = draws.copy()
    apart[0, :, 7] += 0.6
    found = []
    for values in (draws, apart):
        posterior = xr.Dataset({"b": (("chain", "draw", "g"), values)})
        r_hat = parameter_summary(xr.DataTree.from_dict({"posterior": posterior})).r_hat.to_numpy()
        assert r_hat.max() > 1.01
        found.append(rhat_beyond_chance(values, np.arange(1200), r_hat))
    assert found == [1, r_hat[7]]
    assert rhat_beyond_chance(draws, np.arange(100), r_hat[:100]) is None


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_parameter_without_a_measure_leaves_none_to_its_variable(value: float):
    """One slope that never moves, or has a draw that is not a number."""
    beta = normal(2)
    beta[:, :: 1 if value == 0 else 500, 1] = value
    _, found = assessed(beta)
    alpha, slopes, _ = found.variables
    assert np.isnan([found.rhat_max, slopes.rhat_max]).all()
    assert found.worst[0][0] == "beta_g[B]" and np.isfinite(found.worst[1][1])
    assert np.isfinite([alpha.rhat_max, alpha.ess_bulk_min, alpha.ess_tail_min]).all()
    if np.isnan(value):
        assert np.isnan([found.ess_bulk_min, slopes.ess_bulk_min, slopes.ess_tail_min]).all()


def test_each_engine_is_asked_for_its_own_diagnostics():
    energy = np.random.default_rng(7).normal(size=(4, 1000))
    energy[2] = np.cumsum(energy[2])  # one chain that explores slowly
    diverging, step_size = energy > 2.5, 0.3 + energy**2
    nuts = assessed(normal(1), energy=energy, diverging=diverging, step_size=step_size)[1].nuts
    assert nuts is not None
    bfmi = (np.diff(energy, axis=1) ** 2).mean(axis=1) / energy.var(axis=1)
    assert nuts.bfmi_min == pytest.approx(bfmi.min(), rel=0.01)
    assert nuts.divergences == diverging.sum() > 1
    assert (nuts.step_size_min, nuts.step_size_max) == (step_size.min(), step_size.max())
    _, found = assessed(normal(1), **INTEGRATED)
    assert found.nuts is None and found.exact == ExactDiagnostics.model_validate(INTEGRATED)
    assert found.exact.n_effective_points == 7168


def test_a_sparse_slope_and_its_probability_are_judged_by_each_other():
    random, shape = np.random.default_rng(1), (2, 100)
    moving, still = random.normal(0.5, 0.1, shape), np.zeros(shape)
    dims = ("chain", "draw", "gene")
    posterior = xr.Dataset(
        {
            "beta_g": (dims, np.stack([still, moving, still + 1], axis=-1)),
            "included_g": (dims, np.stack([moving, still + 1, still + 1], axis=-1)),
        },
        {"gene": ["never", "always", "stuck"]},
    )
    statistics = xr.Dataset(dict.fromkeys(GibbsDiagnostics.model_fields, (dims[:2], moving)))
    tree = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})
    assert np.isnan(assess_convergence(tree, parameter_summary(tree)).rhat_max)
    two = posterior.isel(gene=[0, 1])
    tree = xr.DataTree.from_dict({"posterior": two, "sample_stats": statistics})
    assert assess_convergence(tree, parameter_summary(tree)).rhat_max < 1.1

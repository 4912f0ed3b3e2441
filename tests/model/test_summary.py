"""The flat summary table: its labels, and what it must not hide."""

import warnings

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.summary import parameter_summary


@pytest.fixture
def tree() -> xr.DataTree:
    draws = np.random.default_rng(2).normal(size=(4, 250, 2))
    posterior = xr.Dataset(
        {
            "mu_beta": (("chain", "draw"), draws[..., 0]),
            "sigma": (("chain", "draw"), np.ones((4, 250))),
            "beta_g": (("chain", "draw", "gene"), draws),
        },
        coords={"gene": ["SOX10 (6663)", "MYB (4602)"]},
    )
    return xr.DataTree.from_dict({"posterior": posterior})


def test_the_first_column_names_the_parameter(tree):
    table = parameter_summary(tree)
    assert table.columns[0] == "parameter"
    assert table["parameter"].tolist() == [
        "mu_beta",
        "sigma",
        "beta_g[SOX10 (6663)]",
        "beta_g[MYB (4602)]",
    ]


def test_the_other_columns_are_those_of_arviz(tree):
    assert parameter_summary(tree).columns[1:].tolist() == [
        "mean",
        "sd",
        "hdi89_lb",
        "hdi89_ub",
        "ess_bulk",
        "ess_tail",
        "r_hat",
        "mcse_mean",
        "mcse_sd",
    ]


def test_numbers_are_not_rounded(tree):
    exact = tree["posterior"]["mu_beta"].mean().item()
    assert parameter_summary(tree)["mean"][0] == pytest.approx(exact, rel=1e-14)


def awkward(n_draws: int) -> xr.DataTree:
    """Draws that are slow, tied, constant, broken or infinite, and a number that cannot be cut."""
    random = np.random.default_rng(3)
    draws = random.normal(size=(3, n_draws, 7))
    draws[..., 1] = np.cumsum(draws[..., 1], axis=1)
    draws[..., 2] = draws[..., 2].round(1)
    draws[..., 3] = 1.0
    draws[0, 5, 4] = np.nan
    draws[1, 7, 5] = np.inf
    dims = ("chain", "draw")
    posterior = xr.Dataset(
        {"mu_beta": (dims, draws[..., 0]), "delta_k": ((*dims, "guide"), draws)},
        coords={"guide": [f"guide {number}" for number in range(7)]},
    )
    return xr.DataTree.from_dict({"posterior": posterior})


@pytest.mark.parametrize("n_draws", [60, 251])
@pytest.mark.parametrize("at_a_time", [1, 1500, 10**6])
def test_every_number_is_that_of_arviz(n_draws, at_a_time, monkeypatch):
    monkeypatch.setattr("model.summary.NUMBERS_AT_ONCE", at_a_time)
    tree = awkward(n_draws)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = az.summary(tree, ci_kind="hdi", ci_prob=0.89, round_to="none")
    ours = parameter_summary(tree).set_index("parameter")
    pd.testing.assert_frame_equal(ours, theirs.astype(float), rtol=1e-12, check_names=False)
    assert ours["ess_bulk"].min() < 30 < ours["ess_bulk"].max()


def test_a_parameter_that_never_moves_has_no_rhat(tree):
    with np.errstate(divide="raise", invalid="raise"):
        table = parameter_summary(tree).set_index("parameter")
    assert np.isnan(table["r_hat"]["sigma"])
    assert table["r_hat"].drop("sigma").between(0.99, 1.05).all()

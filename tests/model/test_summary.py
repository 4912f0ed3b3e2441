"""The flat summary table: its labels, and what it must not hide."""

import numpy as np
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


def test_a_parameter_that_never_moves_has_no_rhat(tree):
    table = parameter_summary(tree).set_index("parameter")
    assert np.isnan(table["r_hat"]["sigma"])
    assert table["r_hat"].drop("sigma").between(0.99, 1.05).all()

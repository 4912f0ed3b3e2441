"""The table of parameters agrees with ArviZ, also for draws that are constant, tied or broken."""

import warnings

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.diagnostics.summary import parameter_summary


def awkward(n_draws: int) -> xr.DataTree:
    """Draws that are independent, slow, tied, constant, NaN and infinite in turn."""
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


@pytest.mark.parametrize(("n_draws", "at_a_time"), [(60, 1), (60, 1500), (251, 10**6)])
def test_every_number_is_that_of_arviz(n_draws, at_a_time, monkeypatch):
    monkeypatch.setattr("model.diagnostics.summary.NUMBERS_AT_ONCE", at_a_time)
    tree = awkward(n_draws)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = az.summary(tree, ci_kind="hdi", ci_prob=0.89, round_to="none")
    ours = parameter_summary(tree)
    assert ours.columns[0] == "parameter"
    ours = ours.set_index("parameter")
    pd.testing.assert_frame_equal(ours, theirs.astype(float), rtol=1e-12, check_names=False)
    assert ours["ess_bulk"].min() < 30 < ours["ess_bulk"].max()

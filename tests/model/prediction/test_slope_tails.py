"""Tails of slopes: posteriors drawn from the law of a Normal prior, and from sparse truths."""

import numpy as np
import pytest
import xarray as xr

from model.prediction.checks import slope_tails
from schemas.model_spec import MODEL_SPECS
from tests.model.diagnostics.test_verdict import INTEGRATED, measured, verdict_of

NESTED = MODEL_SPECS["m4_nested"]


def posterior_of(truth: np.ndarray, error: float, seed: int) -> xr.Dataset:
    """The exact posterior of slopes measured with a Normal error, their prior estimated."""
    random = np.random.default_rng(seed)
    measured = truth + random.normal(0, error, truth.size)
    prior = max(measured.var() - error**2, 1e-4)
    share = prior / (prior + error**2)
    centre, sd = share * measured, np.sqrt(share) * error
    shape = (2, 400)
    return xr.Dataset(
        {
            "beta_g": (("chain", "draw", "gene"), random.normal(centre, sd, (*shape, truth.size))),
            "mu_beta": (("chain", "draw"), np.zeros(shape)),
            "sigma_beta": (("chain", "draw"), np.full(shape, np.sqrt(prior))),
        }
    )


def test_normal_slopes_are_below_the_limit_in_as_many_screens_as_that_says():
    random = np.random.default_rng(1)
    found = [
        slope_tails(NESTED, posterior_of(random.normal(0, 0.2, 60), 0.1, seed), 1).p_value
        for seed in range(40)
    ]
    assert np.mean(np.array(found) < 0.05) < 0.15 and np.mean(np.array(found) < 0.5) > 0.25


def test_few_large_slopes_are_for_review_with_the_way_out():
    truth = np.where(np.arange(200) < 10, 0.8, 0.0)
    check = slope_tails(NESTED, posterior_of(truth, 0.1, 2), 1)
    assert check.p_value == 0 and check.observed > 2 * check.replicated_high
    verdict = verdict_of(measured(INTEGRATED), check, model="m4_nested")
    assert verdict.status == "review"
    (reason,) = verdict.reasons
    assert "slope_tails" in reason and "--model m4_screen" in reason


@pytest.mark.parametrize("truth", [np.zeros(200), np.linspace(-1, 1, 15)])
def test_too_little_information_too_few_genes_or_a_mixture_prior_say_nothing(truth):
    assert slope_tails(NESTED, posterior_of(truth, 0.3, 3), 1) is None
    assert slope_tails(MODEL_SPECS["m4_screen"], xr.Dataset(), 1) is None

"""Error rates of genes, for draws of any kind."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.effects import local_false_sign_rate, s_value
from tests.property.releases import examples

seeds = st.integers(0, 2**32 - 1)
rates = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1), max_size=30).map(
    np.array
)


@st.composite
def any_draws(draw: st.DrawFn) -> np.ndarray:
    """Draws (G, S) of all sizes, some of them exactly 0, some genes of one sign."""
    random = np.random.default_rng(draw(seeds))
    n_genes, n_draws = draw(st.integers(1, 6)), draw(st.integers(2, 40))
    draws = random.normal(random.normal(0, 2, (n_genes, 1)), 1, (n_genes, n_draws))
    draws *= 10.0 ** draw(st.integers(-6, 6))
    draws[random.random(draws.shape) < draw(st.sampled_from([0.0, 0.2]))] = 0
    return draws


@examples(40)
@given(draws=any_draws(), share=st.floats(0, 2), seed=seeds)
def test_the_sign_rate_is_the_share_of_draws_against_the_likelier_sign(
    draws: np.ndarray, share: float, seed: int
):
    beyond = float(share * np.abs(draws).max())
    rate, n_draws = local_false_sign_rate(draws, beyond), draws.shape[1]
    sure = np.maximum((draws < -beyond).sum(axis=1), (draws > beyond).sum(axis=1))
    np.testing.assert_allclose(rate, (n_draws - sure) / n_draws, rtol=1e-12, atol=1e-12)
    shuffled = np.random.default_rng(seed).permutation(draws, axis=1)
    for same in (shuffled, -draws, np.concatenate([draws, draws], axis=1)):
        np.testing.assert_allclose(local_false_sign_rate(same, beyond), rate, atol=1e-12)


@examples(40)
@given(lfsr=rates, seed=seeds, n_unknown=st.integers(0, 4))
def test_the_s_value_is_the_running_mean_of_the_rates_in_any_order(
    lfsr: np.ndarray, seed: int, n_unknown: int
):
    order = np.random.default_rng(seed).permutation(len(lfsr) + n_unknown)
    found = np.empty(len(order))
    found[order] = s_value(np.concatenate([lfsr, np.full(n_unknown, np.nan)])[order])
    expected = [lfsr[lfsr <= own].mean() for own in lfsr]
    np.testing.assert_allclose(found[: len(lfsr)], expected, rtol=1e-12, atol=1e-12)
    assert np.isnan(found[len(lfsr) :]).all()

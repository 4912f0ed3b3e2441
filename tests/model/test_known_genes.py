"""Agreement with a list of known genes: counts, AUC and enrichment, and what cannot be known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from model.known_genes import known_genes


def effects_of(beta, call) -> pd.DataFrame:
    return pd.DataFrame(
        {"gene": [f"g{n}" for n in range(len(beta))], "beta_mean": beta, "call": call}
    )


SIX = effects_of(
    [-3.0, -2.0, 1.0, -1.0, 0.0, 2.0],
    ["negative", "negative", "positive", "negative", "none", "none"],
)


def test_counts_and_auc_reckoned_by_hand():
    found = known_genes(SIX, ["g0", "g1", "g2", "elsewhere"], seed=1)
    assert (found.n_listed, found.n_compared, found.n_others) == (4, 3, 3)
    assert (found.n_negative, found.n_positive, found.n_negative_others) == (2, 1, 1)
    assert found.auc == pytest.approx(7 / 9)  # of nine pairs only g2 stands above g3 and g4
    # Two or three of three listed among three of six called negative.
    assert found.enrichment_p == pytest.approx((9 + 1) / 20)
    interval = stats.binomtest(2, 3).proportion_ci(0.89, "wilson")
    assert (found.share_negative_low, found.share_negative_high) == tuple(interval)


def test_two_genes_on_each_side_are_enough_for_an_interval_and_one_is_not():
    four = SIX.head(4)
    found = known_genes(four, ["g0", "g2"], seed=1)
    assert 0 <= found.auc_low < found.auc < found.auc_high <= 1
    assert found == known_genes(four, ["g0", "g2"], seed=1)
    alone = known_genes(four, ["g2"], seed=1)
    assert alone.auc == 0 and np.isnan([alone.auc_low, alone.auc_high]).all()


def test_ties_count_half():
    level = effects_of([0.0] * 4, "none")
    assert known_genes(level, ["g0", "g1"], seed=1).auc == 0.5


def test_genes_without_enough_data_are_not_compared():
    poor = SIX.assign(call=SIX["call"].where(SIX["gene"] != "g2", "not enough data"))
    found = known_genes(poor, ["g0", "g1", "g2"], seed=1)
    assert (found.n_listed, found.n_compared, found.n_positive) == (3, 2, 0)
    assert found.auc == 1
    elsewhere = SIX.assign(rna_sd=np.nan)
    assert known_genes(elsewhere, ["g0", "g1", "g2"], seed=1).n_compared == 3
    broken = SIX.assign(beta_mean=SIX["beta_mean"].where(SIX["gene"] != "g2"))
    assert known_genes(broken, ["g0", "g1", "g2"], seed=1).n_compared == 2


@pytest.mark.parametrize("listed", [[f"g{n}" for n in range(6)], ["elsewhere"]])
def test_a_list_of_all_or_none_has_nothing_to_compare_with(listed):
    found = known_genes(SIX, listed, seed=1)
    unknown = (found.auc, found.auc_low, found.auc_high, found.enrichment_p)
    assert all(np.isnan(number) for number in unknown)
    assert np.isnan(found.share_negative_low) == (listed == ["elsewhere"])


def test_one_call_has_an_interval_of_its_share():
    found = known_genes(SIX, ["g0", "g4"], seed=1)
    interval = stats.binomtest(1, 1).proportion_ci(0.89, "wilson")
    assert (found.share_negative_low, found.share_negative_high) == tuple(interval)


def test_a_list_that_says_nothing_has_an_interval_about_a_half():
    random = np.random.default_rng(2)
    hits = 0
    for trial in range(40):
        table = effects_of(random.normal(size=120), "none")
        found = known_genes(table, [f"g{n}" for n in range(40)], seed=trial)
        hits += found.auc_low <= 0.5 <= found.auc_high
    assert 30 <= hits <= 40


def test_a_good_list_stands_out():
    random = np.random.default_rng(2)
    beta = random.normal(size=200)
    beta[:50] -= 2
    table = effects_of(beta, np.where(beta < -1, "negative", "none"))
    found = known_genes(table, [f"g{n}" for n in range(50)], seed=1)
    assert found.auc_low > 0.85 and found.enrichment_p < 1e-6
    assert found == known_genes(table, [f"g{n}" for n in range(50)], seed=1)


def test_the_interval_holds_89_percent_of_what_resampled_genes_have():
    random = np.random.default_rng(4)
    beta = np.concatenate([random.normal(-1.6, 1, 15), random.normal(0, 1, 25)])
    found = known_genes(effects_of(beta, "none"), [f"g{n}" for n in range(15)], seed=1)
    ours, others = random.choice(beta[:15], (20_000, 15)), random.choice(beta[15:], (20_000, 25))
    auc = (ours[:, :, None] < others[:, None, :]).mean(axis=(1, 2))
    low, high = np.quantile(auc, [0.055, 0.945])
    assert found.auc_low == pytest.approx(low, abs=0.012)
    assert found.auc_high == pytest.approx(high, abs=0.012)

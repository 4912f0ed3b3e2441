"""Agreement with a list of known genes: counts, AUC and enrichment with their intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from model.effects.known_genes import NUMBERS_AT_ONCE, RESAMPLES, known_genes

NAN = float("nan")


def effects_of(beta, call) -> pd.DataFrame:
    genes = [f"g{n}" for n in range(len(beta))]
    return pd.DataFrame({"gene": genes, "beta_mean": beta, "call": call})


CALLS = ["negative", "negative", "positive", "negative", "negative", "positive", "none"]
SEVEN = effects_of([-3.0, -2.0, 1.0, -1.0, 0.0, 1.0, 2.0], CALLS)
UNSURE, BROKEN = SEVEN.copy(), SEVEN.assign(rna_sd=NAN)
UNSURE.loc[2, "call"] = "not enough data"
BROKEN.loc[2, "beta_mean"] = NAN
COUNTS = ("n_listed", "n_compared", "n_others", "n_negative", "n_positive", "n_negative_others")


@pytest.mark.parametrize(
    ("table", "listed", "counts", "auc", "enrichment", "share"),
    [
        # Of the twelve pairs g2 has the lower slope in one, and the same slope in one.
        (SEVEN, ["g0", "g1", "g2", "elsewhere"], (4, 3, 4, 2, 1, 2), 9.5 / 12, 22 / 35, (2, 3)),
        (SEVEN, ["g2"], (1, 1, 6, 0, 1, 4), 1.5 / 6, 1, (0, 1)),
        (SEVEN, ["g6", "g3"], (2, 2, 5, 1, 0, 3), 3 / 10, 6 / 7, (1, 1)),
        (UNSURE, ["g1", "g2"], (2, 1, 5, 1, 0, 3), 4 / 5, 4 / 6, (1, 1)),
        (BROKEN, ["g1", "g2"], (2, 1, 5, 1, 0, 3), 4 / 5, 4 / 6, (1, 1)),
        (SEVEN, [*SEVEN["gene"]], (7, 7, 0, 4, 2, 0), NAN, NAN, (4, 6)),
        (SEVEN, ["elsewhere"], (1, 0, 7, 0, 0, 4), NAN, NAN, None),
    ],
)
def test_a_list_is_compared_with_all_other_genes(table, listed, counts, auc, enrichment, share):
    found = known_genes(table, listed, seed=1).model_dump()
    low, high = stats.binomtest(*share).proportion_ci(0.89, "wilson") if share else (NAN, NAN)
    expected = {
        **dict(zip(COUNTS, counts, strict=True)),
        "auc": auc,
        "enrichment_p": enrichment,
        "share_negative_low": low,
        "share_negative_high": high,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert np.isfinite([found["auc_low"], found["auc_high"]]).all() == (min(counts[1:3]) >= 2)


def test_the_interval_of_the_auc_is_that_of_scipy_s_bootstrap():
    random = np.random.default_rng(4)
    beta = np.concatenate([random.normal(-1.6, 1, 15), random.normal(0, 1, 25)])
    table, listed = effects_of(beta, "none"), [f"g{n}" for n in range(15)]
    found = known_genes(table, listed, seed=1)
    again = stats.bootstrap(
        (beta[:15], beta[15:]),
        lambda ours, others, axis: (ours[..., :, None] < others[..., None, :]).mean(axis=(-2, -1)),
        n_resamples=RESAMPLES, batch=NUMBERS_AT_ONCE // 40, confidence_level=0.89,
        method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert (found.auc_low, found.auc_high) == pytest.approx((again.low, again.high), abs=1e-12)
    assert found == known_genes(table, listed, seed=1)
    assert found != known_genes(table, listed, seed=2)

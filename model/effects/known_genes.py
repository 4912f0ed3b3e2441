"""Agreement of a fit with a list of known genes, as a whole and not gene by gene.

A listed gene may have no effect in a given screen, for example in few lines or where all lines
express it. The list is a table of the dataset (`schemas.dataset.Controls`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import stats

from model.effects.gene_effects import CALLED, NOT_ENOUGH_DATA
from model.prediction.predictive import HDI_MASS
from schemas.reports import KnownGenes

RESAMPLES = 999
NUMBERS_AT_ONCE = 2_000_000  # slopes ranked together, over resamples: about 100 MB
NAN = float("nan")


def known_genes(effects: pd.DataFrame, listed: Iterable[str], seed: int) -> KnownGenes:
    """Compare slopes and calls of listed genes, expected to be negative, with all other genes.

    `effects` is a table of `model.effects.gene_effects.gene_effects`. The AUC is that of Mann and
    Whitney on posterior means, with an interval by bootstrap over genes; the enrichment of negative
    calls is Fisher's exact test, one-sided; the interval of the share of negative calls is
    Wilson's. They do not include the uncertainty of single slopes.
    """
    names = set(listed)
    table = effects.dropna(subset="beta_mean")
    table = table[table["call"] != NOT_ENOUGH_DATA]
    on_list = table["gene"].isin(names)
    negative, positive = (table["call"] == call for call in CALLED)
    ours, others = (table["beta_mean"][mask].to_numpy() for mask in (on_list, ~on_list))
    low, high = _auc_interval(ours, others, seed)
    n_negative, n_positive = int((negative & on_list).sum()), int((positive & on_list).sum())
    share_low, share_high = _share_interval(n_negative, n_negative + n_positive)
    return KnownGenes(
        n_listed=len(names),
        n_compared=len(ours),
        n_others=len(others),
        n_negative=n_negative,
        n_positive=n_positive,
        n_negative_others=int((negative & ~on_list).sum()),
        share_negative_low=share_low,
        share_negative_high=share_high,
        auc=float(_auc(ours, others)) if len(ours) and len(others) else NAN,
        auc_low=low,
        auc_high=high,
        enrichment_p=_enrichment(negative.to_numpy(), on_list.to_numpy()),
    )


def _auc(ours: np.ndarray, others: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return P(a listed gene has a lower slope than another one); ties count half.

    Genes along `axis`, the last one.
    """
    higher = stats.mannwhitneyu(others, ours, method="asymptotic", axis=axis).statistic
    return np.asarray(higher) / (ours.shape[axis] * others.shape[axis])


def _auc_interval(ours: np.ndarray, others: np.ndarray, seed: int) -> tuple[float, float]:
    if min(len(ours), len(others)) < 2:
        return NAN, NAN
    found = stats.bootstrap(
        (ours, others),
        _auc,
        n_resamples=RESAMPLES,
        batch=max(1, NUMBERS_AT_ONCE // (len(ours) + len(others))),
        confidence_level=HDI_MASS,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _share_interval(n: int, total: int) -> tuple[float, float]:
    if total == 0:
        return NAN, NAN
    interval = stats.binomtest(n, total).proportion_ci(HDI_MASS, "wilson")
    return float(interval.low), float(interval.high)


def _enrichment(negative: np.ndarray, on_list: np.ndarray) -> float:
    if on_list.all() or not on_list.any():
        return NAN
    counts = [
        [int((negative & mask).sum()), int((~negative & mask).sum())]
        for mask in (on_list, ~on_list)
    ]
    return float(stats.fisher_exact(counts, alternative="greater").pvalue)

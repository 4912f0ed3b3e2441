"""Report of a permutation trial from its counts: false share of calls, interval, verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from model.effects.gene_effects import enough_data
from model.prediction.predictive import HDI_MASS
from model.screen.design import ScreenDesign
from model.simulation.permutation import PermutationResult, n_permuted
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.permutation import (
    METHODS,
    MODEL_METHODS,
    Method,
    MethodCalls,
    PermutationReport,
    TrialSettings,
)
from schemas.reports import Status, Verdict

FAR_ABOVE = 2.0
"""A false share that surely exceeds the nominal rate fails from this many times the rate on."""
INCONCLUSIVE = 4.0
"""An interval that reaches this many times the nominal rate cannot support a `pass`."""


def counts_table(results: Sequence[PermutationResult]) -> pd.DataFrame:
    """Return one row per permutation and method: permutation, method, n_false, n_other."""
    return pd.DataFrame([count.model_dump() for one in results for count in one.counts])


def summarise_permutations(
    dataset: Dataset,
    design: ScreenDesign,
    parameters: FitParameters,
    settings: TrialSettings,
    results: Sequence[PermutationResult],
) -> PermutationReport:
    """Return false share and other calls of every method, and the verdict on the model's."""
    counts = counts_table(results)
    level = parameters.calls.error_max
    methods = tuple(_pooled(method, counts[counts["method"] == method]) for method in METHODS)
    troubles = [one.trouble for one in results if one.trouble]
    return PermutationReport(
        dataset=dataset.name,
        release=dataset.release,
        model=parameters.model,
        engine=Counter(one.engine for one in results).most_common(1)[0][0],
        settings=settings,
        level=level,
        n_genes=len(design.genes),
        n_genes_permuted=n_permuted(design, settings.share),
        n_genes_callable=int(enough_data(design, parameters.calls).sum()),
        n_cell_lines=len(design.cell_lines),
        n_troubled=len(troubles),
        methods=methods,
        verdict=_verdict(parameters, settings, methods, troubles),
    )


def _pooled(method: Method, counts: pd.DataFrame) -> MethodCalls:
    false, other = counts["n_false"].to_numpy(), counts["n_other"].to_numpy()
    called = int((false + other).sum())
    low, high = false_share_interval(false, other)
    return MethodCalls(
        method=method,
        n_false=int(false.sum()),
        n_other=int(other.sum()),
        false_share=float(false.sum() / called) if called else float("nan"),
        low=low,
        high=high,
    )


def false_share_interval(
    false: np.ndarray, other: np.ndarray, probability: float = HDI_MASS
) -> tuple[float, float]:
    """Return the interval of the false share of calls from P permuted screens, counts (P,).

    The pooled share is p = sum V / sum R, of V false and R calls in all. Calls of one permutation
    depend on each other (a poor line makes several false ones), permutations of one screen do not.
    The interval is that of Clopper and Pearson for as many independent calls as give p the variance
    that it has between permutations,

        n = min(sum R, p (1 - p) / var)
        var = P / (P - 1) sum_k (V_k - p R_k)^2 / (sum R)^2

    as Korn and Graubard 1998, Survey Methodology 24, for proportions of a sample of clusters, but
    without their factor for few clusters: simulated intervals from 4 to 20 permutations, with false
    calls single or in threes, miss on either side as often as they should or less. It covers other
    permutations of the same screen, not other screens. (0, 1) without calls.
    """
    called = false + other
    total = called.sum()
    if total == 0:
        return 0.0, 1.0
    share, n_screens = false.sum() / total, len(false)
    tail = (1 - probability) / 2
    n = float(total)
    scatter = ((false - share * called) ** 2).sum() * n_screens / (n_screens - 1)
    if scatter > 0:
        n = min(n, share * (1 - share) * total**2 / scatter)
    x = share * n
    low = stats.beta.ppf(tail, x, n - x + 1) if x > 0 else 0.0
    high = stats.beta.isf(tail, x + 1, n - x) if x < n else 1.0
    return float(low), float(high)


def _verdict(
    parameters: FitParameters,
    settings: TrialSettings,
    methods: Sequence[MethodCalls],
    troubles: Sequence[str],
) -> Verdict:
    """Return the verdict on the rules of the model.

    `pass`: every false share is at most the nominal rate within its interval, and the interval
    excludes four times the rate. `fail`: one surely exceeds the rate, and is more than twice as
    large. Else `review`.
    """
    findings = [
        found
        for one in methods
        if one.method in MODEL_METHODS
        for found in _findings(one, parameters)
    ]
    statuses = {status for status, _ in findings}
    status: Status = "fail" if "fail" in statuses else "review" if findings else "pass"
    notes = [
        "genes with RNA as measured may have no effect either: counting them, the false share is "
        f"up to {1 / settings.share:.3g} times as large",
    ]
    if troubles:
        notes.append(
            f"in {len(troubles):,} of {settings.permutations:,} fits diagnostics of the engine "
            f"failed, for example: {troubles[0]}; raise --draws"
        )
    reasons = sorted(findings, key=lambda found: found[0] != "fail")
    return Verdict(
        status=status, reasons=tuple(reason for _, reason in reasons), notes=tuple(notes)
    )


def _findings(one: MethodCalls, parameters: FitParameters) -> Iterator[tuple[Status, str]]:
    level, model = parameters.calls.error_max, parameters.model
    rule = f"{METHODS[one.method].format(model=model)} <= {level:g}"
    found = (
        f"{rule}: {one.n_false:,} of {one.n_called:,} calls are of genes with permuted RNA "
        f"({one.false_share:.1%}, 89 % interval {one.low:.1%} to {one.high:.1%}), expected at most "
        f"{level:.0%}"
    )
    if one.n_called == 0:
        yield "review", f"{rule}: no gene was called, so that nothing is known of its calls"
    elif one.low > level:
        remedy = "lower calls.error_max and repeat"
        if model != "m4_screen":
            remedy = "use --model m4_screen, which needs guides and replicates"
        status: Status = "fail" if one.false_share > FAR_ABOVE * level else "review"
        yield status, f"{found}; do not report these calls: {remedy}"
    elif one.high > INCONCLUSIVE * level:
        yield "review", f"{found}; inconclusive, too few calls: raise --permutations"

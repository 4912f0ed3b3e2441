"""Comparison of the results of two fits, by gene and overall."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from model.comparison.data import gene_key
from schemas.column_catalog import COMPARED_GENES
from schemas.comparison import (
    OPPOSITE_SIGN,
    CheckChange,
    Comparison,
    ComparisonSettings,
    FitSummary,
    ScalarChange,
)
from schemas.posterior import is_single
from schemas.reports import PredictiveCheck


@dataclass(frozen=True, eq=False)
class ComparedFit:
    """The parts of a fit that are compared."""

    summary: FitSummary
    effects: pd.DataFrame
    """Gene effects (`model.effects.gene_effects`)."""
    settings: dict[str, str]
    """Every setting of the fit, by name."""
    parameters: pd.DataFrame
    """Parameter, mean, sd (`model.diagnostics.summary`)."""
    checks: tuple[PredictiveCheck, ...] = ()
    elpd_by_cell: pd.DataFrame | None = None
    """Gene, cell_line, elpd_loo; None where the fit lacks it."""


def compare_genes(a: pd.DataFrame, b: pd.DataFrame, settings: ComparisonSettings) -> pd.DataFrame:
    """Return one row per gene of both fits.

    Hits with opposite signs come first, then the largest `difference_z`.

    `a` and `b` are tables of `model.effects.gene_effects.gene_effects`. Genes are joined on the
    Entrez number in `SYMBOL (ENTREZ)`, else on the whole label.

    Columns and their units are `schemas.column_catalog.COMPARED_GENES`; hits have a local false
    sign rate of at most `lfsr_max`. A hit of both whose slopes differ in sign is `opposite sign`,
    not `both`: the fits contradict each other.

    The probabilities assume normal and independent posteriors. Fits of the same data are not
    independent: their differences and ranks show the effect of the models, and z and probabilities
    are not a test.
    """
    joined = _keyed(b).merge(_keyed(a), on="key", suffixes=("_b", "_a"))
    difference = joined["beta_mean_b"] - joined["beta_mean_a"]
    sd = np.hypot(joined["beta_sd_a"], joined["beta_sd_b"])
    negative_a, negative_b = (
        norm.cdf(0, joined[f"beta_mean_{x}"], joined[f"beta_sd_{x}"]) for x in ("a", "b")
    )
    limit = settings.practical_difference
    hit_a, hit_b = (joined[f"lfsr_{x}"] <= settings.lfsr_max for x in ("a", "b"))
    opposite = hit_a & hit_b & signs_differ(joined)
    table = joined.assign(
        gene=joined["gene_b"],
        difference=difference,
        difference_z=difference / sd,
        prob_sign_change=negative_a * (1 - negative_b) + negative_b * (1 - negative_a),
        prob_practical=norm.sf(limit, difference, sd) + norm.cdf(-limit, difference, sd),
        rank_a=_ranks(joined["beta_mean_a"]),
        rank_b=_ranks(joined["beta_mean_b"]),
        hit=np.select(
            [opposite, hit_a & hit_b, hit_a, hit_b],
            [OPPOSITE_SIGN, "both", "lost", "gained"],
            default="neither",
        ),
    )
    first = table.assign(same_sign=~opposite, abs_z=table["difference_z"].abs()).sort_values(
        ["same_sign", "abs_z"], ascending=[True, False], kind="stable"
    )
    return first[list(COMPARED_GENES)].reset_index(drop=True)


def signs_differ(genes: pd.DataFrame) -> pd.Series:
    """Return whether the mean slopes of A and B have opposite signs, by gene; False for NaN."""
    return np.sign(genes["beta_mean_a"]) * np.sign(genes["beta_mean_b"]) < 0


def compare_fits(
    dataset: str, a: ComparedFit, b: ComparedFit, settings: ComparisonSettings
) -> tuple[Comparison, pd.DataFrame]:
    """Return the comparison and its table of genes.

    `model.comparison.data` and `model.comparison.attribution` add differences of the data and
    their effects.
    """
    genes = compare_genes(a.effects, b.effects, settings)
    same_data = a.summary.data_digest == b.summary.data_digest
    # Densities are comparable only for the same measurements.
    same_measurements = same_data and all(
        getattr(a.summary, name) == getattr(b.summary, name)
        for name in ("n_genes", "n_cell_lines", "n_measurements")
    )
    evidence, elpd, elpd_se = None, None, None
    if same_measurements:
        if a.summary.log_evidence is not None and b.summary.log_evidence is not None:
            evidence = b.summary.log_evidence - a.summary.log_evidence
        elpd, elpd_se = _elpd_difference(a.elpd_by_cell, b.elpd_by_cell)
    digests = {a.summary.posterior_digest, b.summary.posterior_digest}
    renamed = genes[genes["gene"] != genes["gene_a"]]
    result = Comparison(
        dataset=dataset,
        a=a.summary,
        b=b.summary,
        same_data=same_data,
        identical=_identical(a.effects, b.effects),
        identical_draws=None if "" in digests else len(digests) == 1,
        changed_parameters={
            name: (a.settings.get(name, ""), b.settings.get(name, ""))
            for name in sorted({*a.settings, *b.settings})
            if a.settings.get(name) != b.settings.get(name)
        },
        n_genes_joined=len(genes),
        genes_lost=tuple(sorted(set(a.effects["gene"]) - set(genes["gene_a"]))),
        genes_gained=tuple(sorted(set(b.effects["gene"]) - set(genes["gene"]))),
        genes_renamed=dict(zip(renamed["gene_a"], renamed["gene"], strict=True)),
        hits_lost=tuple(genes.loc[genes["hit"] == "lost", "gene_a"]),
        hits_gained=tuple(genes.loc[genes["hit"] == "gained", "gene"]),
        hits_opposite_sign=tuple(genes.loc[genes["hit"] == OPPOSITE_SIGN, "gene"]),
        beta_correlation=_correlation(genes),
        largest_abs_z=float(genes["difference_z"].abs().max()) if len(genes) else float("nan"),
        log_evidence_difference=evidence,
        elpd_loo_difference=elpd,
        elpd_loo_difference_se=elpd_se,
        scalars=_scalars(a.parameters, b.parameters),
        checks=_checks(a.checks, b.checks),
    )
    return result, genes


def _ranks(slopes: pd.Series) -> pd.Series:
    """Return ranks, 1 for the most negative slope; NaN, of a failed fit, comes last."""
    return slopes.rank(method="first", na_option="bottom").astype(int)


def _elpd_difference(
    a: pd.DataFrame | None, b: pd.DataFrame | None
) -> tuple[float | None, float | None]:
    """Return the difference of expected log predictive densities and its standard error.

        sum_i d_i,  sqrt(n) sd(d),  d_i = elpd_i(B) - elpd_i(A)     over n gene-line pairs

    Vehtari, Gelman and Gabry 2017, Practical Bayesian model evaluation using leave-one-out
    cross-validation and WAIC, equation 24.
    """
    if a is None or b is None:
        return None, None
    keys = ["gene", "cell_line"]
    joined = a.merge(b, on=keys, suffixes=("_a", "_b"))
    if len(joined) != len(a) or len(joined) != len(b) or len(joined) < 2:
        return None, None  # not the same pairs
    by_cell = joined["elpd_loo_b"] - joined["elpd_loo_a"]
    return float(by_cell.sum()), float(np.sqrt(len(by_cell)) * by_cell.std(ddof=1))


def _scalars(a: pd.DataFrame, b: pd.DataFrame) -> tuple[ScalarChange, ...]:
    """Return the parameters that are not effects of a gene, line or guide, in the order of B."""
    in_a, in_b = (
        {
            name: (mean, sd)
            for name, mean, sd in table[["parameter", "mean", "sd"]].itertuples(index=False)
        }
        for table in (a[is_single(a["parameter"])], b[is_single(b["parameter"])])
    )
    nan = float("nan")
    return tuple(
        ScalarChange(parameter=name, mean_a=of_a[0], sd_a=of_a[1], mean_b=of_b[0], sd_b=of_b[1])
        for name, of_a, of_b in _paired(in_a, in_b, (nan, nan))
    )


def _checks(
    a: tuple[PredictiveCheck, ...], b: tuple[PredictiveCheck, ...]
) -> tuple[CheckChange, ...]:
    in_a, in_b = (
        {
            check.name: (check.p_value, check.n_draws)
            for check in checks
            if check.stage == "posterior"
        }
        for checks in (a, b)
    )
    return tuple(
        CheckChange(
            check=name,
            p_value_a=of_a[0],
            n_draws_a=of_a[1],
            p_value_b=of_b[0],
            n_draws_b=of_b[1],
        )
        for name, of_a, of_b in _paired(in_a, in_b, (float("nan"), 0))
    )


def _paired[T](in_a: dict[str, T], in_b: dict[str, T], absent: T) -> Iterator[tuple[str, T, T]]:
    """Yield each name, in the order of B, with what it has in A and in B."""
    for name in dict.fromkeys([*in_b, *in_a]):
        yield name, in_a.get(name, absent), in_b.get(name, absent)


def _keyed(effects: pd.DataFrame) -> pd.DataFrame:
    keys = [gene_key(gene) for gene in effects["gene"]]
    return effects[["gene", "beta_mean", "beta_sd", "lfsr"]].assign(key=keys)


def _identical(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    by_gene = [table.sort_values("gene", ignore_index=True) for table in (a, b)]
    return by_gene[0].equals(by_gene[1])


def _correlation(genes: pd.DataFrame) -> float:
    if len(genes) < 2:
        return float("nan")
    return float(np.corrcoef(genes["beta_mean_a"], genes["beta_mean_b"])[0, 1])

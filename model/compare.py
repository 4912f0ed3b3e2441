"""What changed between two fits, gene by gene and in all. Pure: tables in, values out.

Where fits are found is `tasks.tracked_fits`; the types are `schemas.comparison`.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from scipy.stats import norm

from schemas.comparison import Comparison, ComparisonSettings, FitSummary

ENTREZ = re.compile(r"\((\d+)\)\s*$")

COLUMNS = (
    "gene",
    "gene_a",
    "beta_mean_a",
    "beta_sd_a",
    "lfsr_a",
    "beta_mean_b",
    "beta_sd_b",
    "lfsr_b",
    "difference",
    "difference_z",
    "prob_sign_change",
    "prob_practical",
    "rank_a",
    "rank_b",
)


def compare_genes(a: pd.DataFrame, b: pd.DataFrame, settings: ComparisonSettings) -> pd.DataFrame:
    """Return one row a gene of both fits, the largest `difference_z` first.

    `a` and `b` are tables of `model.effects.gene_effects`. Genes are joined on the Entrez number in
    `SYMBOL (ENTREZ)`, on the whole label where there is none.

    | column | unit | what |
    |---|---|---|
    | gene, gene_a | | label in B, and in A |
    | beta_mean_*, beta_sd_* | log fold change per SD of RNA | posterior mean and SD |
    | lfsr_* | | local false sign rate |
    | difference | log fold change per SD of RNA | B less A |
    | difference_z | | difference / sqrt(sd_a^2 + sd_b^2) |
    | prob_sign_change | | P(beta_a beta_b < 0) |
    | prob_practical | | P(abs(beta_b - beta_a) > practical_difference) |
    | rank_a, rank_b | | 1 for the most negative slope of the joined genes |

    The last three take both posteriors as normal and independent. Of fits to the same data they are
    not: there difference and ranks say what the models make of it, and z and probabilities are no
    test.
    """
    joined = _keyed(b).merge(_keyed(a), on="key", suffixes=("_b", "_a"))
    difference = joined["beta_mean_b"] - joined["beta_mean_a"]
    sd = np.hypot(joined["beta_sd_a"], joined["beta_sd_b"])
    negative_a, negative_b = (
        norm.cdf(0, joined[f"beta_mean_{x}"], joined[f"beta_sd_{x}"]) for x in ("a", "b")
    )
    limit = settings.practical_difference
    table = joined.assign(
        gene=joined["gene_b"],
        difference=difference,
        difference_z=difference / sd,
        prob_sign_change=negative_a * (1 - negative_b) + negative_b * (1 - negative_a),
        prob_practical=norm.sf(limit, difference, sd) + norm.cdf(-limit, difference, sd),
        rank_a=joined["beta_mean_a"].rank(method="first").astype(int),
        rank_b=joined["beta_mean_b"].rank(method="first").astype(int),
    )
    order = table["difference_z"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order, list(COLUMNS)].reset_index(drop=True)


def compare_fits(
    dataset: str,
    a: FitSummary,
    b: FitSummary,
    effects: tuple[pd.DataFrame, pd.DataFrame],
    parameters: tuple[dict[str, str], dict[str, str]],
    settings: ComparisonSettings,
) -> tuple[Comparison, pd.DataFrame]:
    """Return the comparison and its table of genes; `effects` and `parameters` are of A and B."""
    genes = compare_genes(*effects, settings)
    hit_a, hit_b = (genes[f"lfsr_{x}"] <= settings.lfsr_max for x in ("a", "b"))
    same_data = a.data_digest == b.data_digest
    evidence = None
    if same_data and a.log_evidence is not None and b.log_evidence is not None:
        evidence = b.log_evidence - a.log_evidence
    renamed = genes[genes["gene"] != genes["gene_a"]]
    labels_a, labels_b = (list(table["gene"]) for table in effects)
    result = Comparison(
        dataset=dataset,
        a=a,
        b=b,
        same_data=same_data,
        identical=_identical(*effects),
        changed_parameters={
            name: (parameters[0].get(name, ""), parameters[1].get(name, ""))
            for name in sorted({*parameters[0], *parameters[1]})
            if parameters[0].get(name) != parameters[1].get(name)
        },
        genes_joined=len(genes),
        genes_lost=tuple(sorted(set(labels_a) - set(genes["gene_a"]))),
        genes_gained=tuple(sorted(set(labels_b) - set(genes["gene"]))),
        genes_renamed=dict(zip(renamed["gene_a"], renamed["gene"], strict=True)),
        hits_lost=tuple(genes["gene_a"][hit_a & ~hit_b]),
        hits_gained=tuple(genes["gene"][hit_b & ~hit_a]),
        beta_correlation=_correlation(genes),
        largest_abs_z=float(genes["difference_z"].abs().max()) if len(genes) else float("nan"),
        log_evidence_difference=evidence,
    )
    return result, genes


def _keyed(effects: pd.DataFrame) -> pd.DataFrame:
    keys = [found[1] if (found := ENTREZ.search(gene)) else gene for gene in effects["gene"]]
    return effects[["gene", "beta_mean", "beta_sd", "lfsr"]].assign(key=keys)


def _identical(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    by_gene = [table.sort_values("gene", ignore_index=True) for table in (a, b)]
    return by_gene[0].equals(by_gene[1])


def _correlation(genes: pd.DataFrame) -> float:
    if len(genes) < 2:
        return float("nan")
    return float(np.corrcoef(genes["beta_mean_a"], genes["beta_mean_b"])[0, 1])

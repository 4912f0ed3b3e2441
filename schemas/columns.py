"""The columns of every table a run holds, each with its meaning and unit, in the order of the file.

The pages of reference are made from it, and tests hold the tables to it. The columns of published
tables, which are read, are `schemas.layouts`; how tables are computed is in `model`.
"""

from __future__ import annotations

from collections.abc import Mapping

Columns = Mapping[str, str]

GENE_EFFECTS: Columns = {
    "gene": "`SYMBOL (ENTREZ)`",
    "call": "`negative`: the more a line expresses the gene, the more it depends on it; "
    "`positive`: the less; `none`: the data do not tell; `not enough data`",
    "call_error": "the probability that the call, or the nearest one, is wrong: that beta has the "
    "other sign, or is smaller than `calls.min_effect`",
    "call_reason": "in what the data are not enough; else empty",
    "beta_mean": "slope of log fold change on RNA, per SD of the gene's RNA: posterior mean",
    "beta_sd": "its posterior SD",
    "beta_hdi_low": "lower end of its 89 % highest-density interval",
    "beta_hdi_high": "upper end",
    "prob_negative": "P(beta < 0)",
    "lfsr": "local false sign rate: the probability that the sign is wrong (Stephens 2017)",
    "s_value": "mean lfsr of all genes at least as sure: the share of wrong signs if all of them "
    "are called",
    "beta_per_log2_mean": "the same slope per unit of log2(TPM+1): beta over `rna_sd`; empty where "
    "RNA came as z-scores",
    "beta_per_log2_sd": "its posterior SD",
    "beta_per_log2_hdi_low": "lower end of its 89 % interval",
    "beta_per_log2_hdi_high": "upper end",
    "alpha_mean": "log fold change at the gene's mean RNA, in the average line (`m4`, `m4_nested`: "
    "up to the shift)",
    "n_cell_lines": "cell lines with measurements of the gene in the fit",
    "n_guides": "guides with measurements in the fit",
    "rna_sd": "SD of the gene's RNA over those lines, log2(TPM+1)",
}
LINE_INFLUENCE_OF_GENES: Columns = {
    "most_influential_line": "the cell line that carries the effect or, where none does, moves it "
    "most",
    "influence": "by how many posterior SDs `beta_mean` changes without it",
    "carried_by_one_line": "whether the sign is sure with that line and not without it",
}
LINEAGE_INFLUENCE_OF_GENES: Columns = {
    "most_influential_lineage": "the same of lineages; this and what follows is there where the "
    "dataset has a model table",
    "lineage_influence": "by how many posterior SDs `beta_mean` changes without it",
    "carried_by_one_lineage": "whether the sign is sure with that lineage and not without it",
    "beta_within_lineage_mean": "slope within lineages, per SD of the gene's RNA over all lines: "
    "posterior mean",
    "beta_within_lineage_sd": "its posterior SD",
    "rna_within_lineage": "share of the variance of the gene's RNA that is within lineages",
    "marks_lineage": "whether surely less than half of the slope (`influence.share_within_min`) is "
    "left within lineages",
}
_GENE_AND_LINE: Columns = {"gene": "`SYMBOL (ENTREZ)`", "cell_line": "ModelID"}
_WITHOUT: Columns = {
    "beta_without": "posterior mean of beta without it, per SD of RNA over all lines",
    "change_in_sd": "by how many posterior SDs beta changes without it",
    "lfsr_without": "local false sign rate without it",
}
WITHOUT_EFFECT: Columns = {
    "gene": "`SYMBOL (ENTREZ)`",
    "reason": "why it is not in the fit",
}
SUMMARY: Columns = {
    "parameter": "as `mu_beta`, `beta_g[SOX10 (6663)]`, `gamma_c[ACH-000001]`",
    "mean": "posterior mean",
    "sd": "posterior SD",
    "hdi89_lb": "lower end of the 89 % highest-density interval",
    "hdi89_ub": "upper end",
    "ess_bulk": "effective sample size for the middle of the distribution",
    "ess_tail": "effective sample size for its tails",
    "r_hat": "R-hat, rank-normalised and split (Vehtari et al. 2021)",
    "mcse_mean": "Monte Carlo standard error of the mean",
    "mcse_sd": "Monte Carlo standard error of the SD",
}
COMPARED_GENES: Columns = {
    "gene": "label in B",
    "gene_a": "label in A",
    "beta_mean_a": "posterior mean of beta in A, log fold change per SD of RNA",
    "beta_sd_a": "its posterior SD",
    "lfsr_a": "its local false sign rate",
    "beta_mean_b": "the same of B",
    "beta_sd_b": "its posterior SD",
    "lfsr_b": "its local false sign rate",
    "difference": "B less A, log fold change per SD of RNA",
    "difference_z": "the difference over sqrt(sd_a^2 + sd_b^2)",
    "prob_sign_change": "the probability that beta has another sign in B",
    "prob_practical": "the probability that beta differs by more than the practical difference",
    "rank_a": "1 for the most negative slope in A, of the genes of both",
    "rank_b": "the same in B",
    "hit": "`both`, `lost` (in A only), `gained` (in B only), `neither`",
}
COMPARED_LINES: Columns = {
    "cell_line": "ModelID",
    "a": "`fitted` in A, or why not",
    "b": "the same of B",
    "n_sequences_a": "sequences in A",
    "n_sequences_b": "sequences in B",
    "profile_a": "default RNA profile in A",
    "profile_b": "default RNA profile in B",
    "sequences_changed": "whether the sequences are others",
    "values_changed": "whether the sequences are the same, and log fold changes are not",
    "logfc_shift": "mean over guides of B less A, log2",
    "logfc_spread": "SD over guides of B less A, log2",
    "rna_change": "largest change of RNA, log2(TPM+1)",
}
_REASON: Columns = {"reason": "why it is not in the fit; empty if it is"}

TABLES: Mapping[str, Columns] = {
    "gene_effects.csv, gene_effects.parquet": {
        **GENE_EFFECTS,
        **LINE_INFLUENCE_OF_GENES,
        **LINEAGE_INFLUENCE_OF_GENES,
    },
    "genes_without_effect.csv": WITHOUT_EFFECT,
    "summary.csv": SUMMARY,
    "fitted_cells.parquet": {
        **_GENE_AND_LINE,
        "rna": "RNA of the gene in the line, in SDs from the gene's mean over the fitted lines",
        "logfc_mean": "mean of the measurements, log2",
        "fitted": "mean that the fit expects, log2",
        "hdi_low": "lower end of its 89 % highest-density interval",
        "hdi_high": "upper end",
    },
    "loo_cells.parquet": {
        **_GENE_AND_LINE,
        "elpd_loo": "log density of the cell's measurements, foreseen from all other cells",
        "pareto_k": "Pareto k of its weights; above 0.7 the fit leans on the cell itself",
    },
    "lines_left_out.parquet": {
        "cell_line": "ModelID",
        "elpd_lolo": "log density of the line's measurements, given all other lines",
        "pareto_k": "Pareto k of the weighted points without it; empty where one point stands for "
        "all",
    },
    "line_influence.parquet": {**_GENE_AND_LINE, **_WITHOUT},
    "lineage_sensitivity.parquet": {
        "gene": "`SYMBOL (ENTREZ)`",
        "lineage": "as the model table names it",
        **_WITHOUT,
    },
    "screen/sequences.parquet": {
        "sequence": "SequenceID",
        "cell_line": "ModelID",
        "pdna_batch": "batch of pDNA it is compared with",
        "passes_qc": "whether it passes quality control",
        **_REASON,
    },
    "screen/guides.parquet": {"guide": "its sequence", "gene": "`SYMBOL (ENTREZ)`", **_REASON},
    "screen/genes.parquet": {"gene": "`SYMBOL (ENTREZ)`", **_REASON},
    "screen/cell_lines.parquet": {
        "cell_line": "ModelID",
        "lineage": "as the model table names it",
        "profile": "default RNA profile",
        **_REASON,
    },
}
"""Of a fit: file, and its columns."""

COMPARISON_TABLES: Mapping[str, Columns] = {
    "comparison.csv, comparison.parquet": {
        **COMPARED_GENES,
        "due_to_<step>": "how far the step moves beta; the steps add up to `difference`",
    },
    "cell_lines.csv, cell_lines.parquet": COMPARED_LINES,
}
"""Of a comparison."""

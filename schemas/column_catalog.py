"""Columns of every table of a run, each with its meaning and unit, in the order of the file.

The reference pages are generated from it, and tests check the tables against it. Columns of input
tables are in `schemas.tables.layouts`.
"""

from __future__ import annotations

from collections.abc import Mapping

Columns = Mapping[str, str]

GENE_EFFECTS: Columns = {
    "gene": "`SYMBOL (ENTREZ)`",
    "call": "`negative`: the more a line expresses the gene, the more it depends on it; "
    "`positive`: the less; `none`: inconclusive; `not enough data`",
    "call_error": "probability that the call, or the nearest one, is wrong: beta has the other "
    "sign, or is smaller than `calls.min_effect`",
    "call_reason": "why there are not enough data; else empty",
    "beta_mean": "slope of log fold change on RNA, per SD of the gene's RNA: posterior mean",
    "beta_sd": "its posterior SD",
    "beta_hdi_low": "ends of its 89 % highest-density interval",
    "beta_hdi_high": "ends of its 89 % highest-density interval",
    "prob_negative": "P(beta < 0)",
    "prob_nonzero": "P(beta is not 0); 1 in a model whose slopes have a Normal prior",
    "lfsr": "local false sign rate: the probability that the sign is wrong (Stephens 2017)",
    "s_value": "mean lfsr of all genes with at most this lfsr: expected share of wrong signs if "
    "all of them are called",
    **dict.fromkeys(
        (f"beta_per_log2_{part}" for part in ("mean", "sd", "hdi_low", "hdi_high")),
        "the slope per unit of log2(TPM+1): beta over `rna_sd`; empty for RNA given as z-scores",
    ),
    "alpha_mean": "log fold change at the gene's mean RNA, in the average line (`m4`, `m4_nested`: "
    "up to the shift)",
    "n_cell_lines": "cell lines with measurements of the gene in the fit",
    "n_guides": "guides with measurements in the fit",
    "rna_sd": "SD of the gene's RNA over those lines, log2(TPM+1)",
}
LINE_INFLUENCE_OF_GENES: Columns = {
    "most_influential_line": "the cell line that drives the effect or, where none does, changes it "
    "most",
    "most_influential_line_name": "its name; present where the model table has names",
    "influence": "change of `beta_mean` without it, in posterior SDs",
    "carried_by_one_line": "whether the sign is sure with that line and not without it",
}
LINEAGE_INFLUENCE_OF_GENES: Columns = {
    "most_influential_lineage": "the same for lineages; this and the next columns need a model "
    "table",
    "lineage_influence": "change of `beta_mean` without it, in posterior SDs",
    "carried_by_one_lineage": "whether the sign is sure with that lineage and not without it",
    "beta_within_lineage_mean": "slope within lineages, per SD of the gene's RNA over all lines: "
    "posterior mean",
    "beta_within_lineage_sd": "its posterior SD",
    "rna_within_lineage": "share of the variance of the gene's RNA that is within lineages",
    "marks_lineage": "whether surely less than half of the slope (`influence.share_within_min`) "
    "remains within lineages",
}
COPY_NUMBER_OF_GENES: Columns = {
    "copy_number_slope": "slope of log fold change on copy number, per log2(ratio + 1): posterior "
    "mean; this and the next columns need a copy-number table and `m4_screen`",
    **dict.fromkeys(
        ("copy_number_slope_hdi_low", "copy_number_slope_hdi_high"),
        "ends of its 89 % highest-density interval",
    ),
    "beta_mean_without_copy_number": "`beta_mean` of the same fit without the copy-number table",
    "lfsr_without_copy_number": "its `lfsr`",
    "s_value_without_copy_number": "its `s_value`",
    "call_without_copy_number": "its `call`",
    "carried_by_copy_number": "whether the gene is called without copy number, and not so with it",
}
_GENE_AND_LINE: Columns = {"gene": "`SYMBOL (ENTREZ)`", "cell_line": "ModelID"}
_LINE: Columns = {
    "cell_line": "ModelID",
    "cell_line_name": "its name; present where the model table has names",
}
_WITHOUT: Columns = {
    "beta_without": "posterior mean of beta without it, per SD of RNA over all lines",
    "change_in_sd": "change of beta without it, in posterior SDs",
    "lfsr_without": "local false sign rate without it",
}
WITHOUT_EFFECT: Columns = {
    "gene": "`SYMBOL (ENTREZ)`",
    "reason": "reason of its exclusion",
}
SUMMARY: Columns = {
    "parameter": "such as `mu_beta`, `beta_g[SOX10 (6663)]`, `gamma_c[ACH-000001]`",
    "mean": "posterior mean",
    "sd": "posterior SD",
    **dict.fromkeys(("hdi89_lb", "hdi89_ub"), "ends of the 89 % highest-density interval"),
    **dict.fromkeys(("ess_bulk", "ess_tail"), "effective sample size in bulk and tails"),
    "r_hat": "R-hat, rank-normalised and split (Vehtari et al. 2021)",
    **dict.fromkeys(("mcse_mean", "mcse_sd"), "Monte Carlo standard errors of mean and SD"),
}
COMPARED_GENES: Columns = {
    "gene": "label in B",
    "gene_a": "label in A",
    **dict.fromkeys(
        (f"{name}_{fit}" for fit in "ab" for name in ("beta_mean", "beta_sd", "lfsr")),
        "posterior mean and SD of beta, and local false sign rate, in A and B",
    ),
    "difference": "B minus A, log fold change per SD of RNA",
    "difference_z": "the difference over sqrt(sd_a^2 + sd_b^2)",
    "prob_sign_change": "probability that beta has another sign in B",
    "prob_practical": "probability that beta differs by more than the practical difference",
    **dict.fromkeys(("rank_a", "rank_b"), "1 for the most negative slope, among genes of both"),
    "hit": "`both`, `lost` (in A only), `gained` (in B only), `neither`, or `opposite sign` (in "
    "both, but with opposite signs of beta)",
}
COMPARED_LINES: Columns = {
    "cell_line": "ModelID",
    "cell_line_name": "its name in the model table of B, else of A; empty where unknown",
    **dict.fromkeys("ab", "`fitted`, or the reason of its exclusion"),
    **dict.fromkeys(("n_sequences_a", "n_sequences_b"), "number of replicates"),
    **dict.fromkeys(("profile_a", "profile_b"), "default RNA profile"),
    "sequences_changed": "whether the sequences differ",
    "values_changed": "whether the sequences are the same and log fold changes differ",
    "logfc_shift": "mean over guides of B minus A, log2",
    "logfc_spread": "SD over guides of B minus A, log2",
    "rna_change": "largest change of RNA, log2(TPM+1)",
    "copy_number_change": "largest change of copy number, log2(ratio + 1)",
}
RUNS: Columns = {
    "run": "first characters of its id, accepted wherever a run is named",
    "run_id": "its id",
    "kind": "`fit`, `import (LIBRARY)`, `comparison`, `calibration` or `permutation_trial`",
    "dataset": "name of the dataset",
    "release": "its release; of a comparison that of fit B",
    "model": "the model",
    "engine": "the engine that ran",
    "verdict": "`pass`, `review` or `fail`; of an unfinished run `running`, `failed` or `killed`",
    **dict.fromkeys(("n_negative", "n_positive"), "genes called negative or positive by a fit"),
    "started": "when it was started, UTC",
    "name": "name of the run in MLflow",
}
"""Columns of the list of runs."""
_REASON: Columns = {"reason": "reason of its exclusion; empty if it is fitted"}

TABLES: Mapping[str, Columns] = {
    "gene_effects.csv, gene_effects.parquet": {
        **GENE_EFFECTS,
        **LINE_INFLUENCE_OF_GENES,
        **LINEAGE_INFLUENCE_OF_GENES,
        **COPY_NUMBER_OF_GENES,
    },
    "genes_without_effect.csv": WITHOUT_EFFECT,
    "summary.csv": SUMMARY,
    "fitted_cells.parquet": {
        **_GENE_AND_LINE,
        "rna": "RNA of the gene in the line, in SDs from the gene's mean over the fitted lines",
        "logfc_mean": "mean of the measurements, log2",
        "fitted": "mean under the posterior, log2",
        **dict.fromkeys(("hdi_low", "hdi_high"), "ends of its 89 % highest-density interval"),
    },
    "loo_cells.parquet": {
        **_GENE_AND_LINE,
        "elpd_loo": "log density of the gene-line pair's measurements, given all other pairs",
        "pareto_k": "Pareto k of its weights; above 0.7 the density is unreliable",
    },
    "lines_left_out.parquet": {
        **_LINE,
        "elpd_lolo": "log density of the line's measurements, given all other lines",
        "pareto_k": "Pareto k of the weighted points without it; empty where a single point was "
        "used",
    },
    "line_influence.parquet": {"gene": "`SYMBOL (ENTREZ)`", **_LINE, **_WITHOUT},
    "lineage_sensitivity.parquet": {
        "gene": "`SYMBOL (ENTREZ)`",
        "lineage": "as the model table names it",
        **_WITHOUT,
    },
    "screen/sequences.parquet": {
        "sequence": "SequenceID",
        "cell_line": "ModelID",
        "pdna_batch": "its reference batch of pDNA",
        "passes_qc": "whether it passes quality control",
        **_REASON,
    },
    "screen/guides.parquet": {"guide": "its sequence", "gene": "`SYMBOL (ENTREZ)`", **_REASON},
    "screen/genes.parquet": {
        "gene": "`SYMBOL (ENTREZ)`",
        "copy_number": "whether the copy-number table has the gene",
        **_REASON,
    },
    "screen/cell_lines.parquet": {
        "cell_line": "ModelID",
        "cell_line_name": "its name in the model table",
        "lineage": "as the model table names it",
        "profile": "default RNA profile",
        "copy_number_profile": "default profile of the copy-number table",
        **_REASON,
    },
}
"""Columns by file of a fit."""

COMPARISON_TABLES: Mapping[str, Columns] = {
    "comparison.csv, comparison.parquet": {
        **COMPARED_GENES,
        "due_to_<step>": "change of beta by the step; the steps add up to `difference`",
    },
    "cell_lines.csv, cell_lines.parquet": COMPARED_LINES,
}
"""Columns by file of a comparison."""

"""Metrics and tags of runs in MLflow, each name with its meaning.

The reference pages are generated from it, and tests check runs against it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from schemas.comparison import STEP_WORDS
from schemas.permutation import METHODS, MethodCalls, PermutationReport
from schemas.reports import (
    SLOPE_TAILS,
    Convergence,
    ExactDiagnostics,
    GibbsDiagnostics,
    InfluenceSummary,
    KnownGenes,
    LooSummary,
    NutsDiagnostics,
)


@dataclass(frozen=True)
class Metric:
    """A metric of a run."""

    meaning: str
    of: str = ""
    """Runs that have it; empty for all of their kind."""


def _fields(
    report: type[BaseModel], *names: str, prefix: str = "", of: str = ""
) -> dict[str, Metric]:
    """Return fields of a report as metrics with its descriptions; all fields if none is named."""
    return {
        f"{prefix}{name}": Metric(" ".join(str(field.description).split()), of)
        for name, field in report.model_fields.items()
        if not names or name in names
    }


def _prefixed(prefix: str, meanings: dict[str, str], of: str = "") -> dict[str, Metric]:
    return {f"{prefix}{name}": Metric(meaning, of) for name, meaning in meanings.items()}


WITH_KNOWN_GENES = "the dataset lists known expression addictions"
FIT_METRICS: dict[str, Metric] = (
    {
        f"ppc_{SLOPE_TAILS}": Metric(
            "Tail probability of the kurtosis of the standardised slopes: few large ones among "
            "many near 0.",
            "the prior of slopes is Normal, and at least 20 genes are informative",
        )
    }
    | _fields(Convergence, "rhat_max", "ess_bulk_min", "ess_tail_min")
    | _fields(NutsDiagnostics, "divergences", "bfmi_min", of="the engine is `nuts`")
    | _fields(
        ExactDiagnostics,
        *("pareto_k", "importance_efficiency", "log_evidence", "log_evidence_mcse"),
        "interpolation_error",
        of="the engine is `exact`",
    )
    | _fields(GibbsDiagnostics, of="the engine is `gibbs`")
    | _fields(LooSummary, "elpd_loo", "elpd_loo_se", "p_loo")
    | _fields(LooSummary, "pareto_k_bad", prefix="loo_")
    | _fields(
        InfluenceSummary,
        *("elpd_lolo", "elpd_lolo_se"),
        of="the exact engine supports the model",
    )
    | _fields(InfluenceSummary, "n_genes_carried_by_one_line")
    | _fields(
        InfluenceSummary,
        *("n_genes_carried_by_one_lineage", "n_genes_marking_a_lineage"),
        of="lineages are known",
    )
    | {
        "n_genes_carried_by_copy_number": Metric(
            "Genes called without copy number, and not so with it.",
            "the model is `m4_screen` and the dataset has a copy-number table",
        )
    }
    | dict.fromkeys(
        ("n_genes", "n_cell_lines", "n_guides", "n_measurements"), Metric("Number fitted.")
    )
    | _prefixed(
        "calls_",
        {
            "negative": "Genes called negative.",
            "positive": "Genes called positive.",
            "none": "Genes with an inconclusive sign.",
            "not_enough_data": "Genes without enough data for a call.",
        },
    )
    | _fields(
        KnownGenes,
        *("n_listed", "n_compared", "n_others", "n_negative", "n_positive", "n_negative_others"),
        prefix="known_",
        of=WITH_KNOWN_GENES,
    )
    | _prefixed(
        "known_",
        dict.fromkeys(
            ("share_negative_low", "share_negative_high"),
            "Ends of the 89 % interval of the share of negative calls among listed genes called.",
        ),
        WITH_KNOWN_GENES,
    )
    | _fields(KnownGenes, "auc", prefix="known_", of=WITH_KNOWN_GENES)
    | _prefixed(
        "known_",
        dict.fromkeys(("auc_low", "auc_high"), "Ends of its 89 % interval."),
        WITH_KNOWN_GENES,
    )
    | _fields(KnownGenes, "enrichment_p", prefix="known_", of=WITH_KNOWN_GENES)
    | _prefixed(
        "seconds_",
        {
            "validate": "Wall seconds of reading and validation.",
            "prepare": "Of joining, filtering and standardising.",
            "fit": "Of the engine, with the fit without copy number; of an imported trace, those "
            "given in its file.",
            "checks": "Of diagnostics, predictive checks, lines left out, pictures.",
            "track": "Of writing the run.",
            "total": "Of all.",
        },
    )
)
"""Metrics of a fit; also `ppc_<check>` and `ppc_prior_<check>` for each predictive check
(`model.prediction.checks.QUANTITIES`): P(replicate >= data) under posterior and prior."""

COMPARISON_METRICS: dict[str, Metric] = {
    **_prefixed(
        "n_genes_",
        dict.fromkeys(("joined", "lost", "gained"), "Genes of both fits, of A only, of B only."),
    ),
    "n_hits_opposite_sign": Metric("Hits of both with opposite signs of beta."),
    **_prefixed(
        "n_hits_",
        dict.fromkeys(("lost", "gained"), "Hits of A only, of B only, among genes of both."),
    ),
    "beta_correlation": Metric("Correlation of the posterior means of beta over genes of both."),
    "largest_abs_z": Metric("Largest difference of a beta, in combined posterior SDs."),
    "log_evidence_difference": Metric("Log evidence of B minus A.", "both fits have the same data"),
    "elpd_loo_difference": Metric("`elpd_loo` of B minus A.", "both fits have the same data"),
    "elpd_loo_difference_se": Metric(
        "Its standard error, from its spread over gene-line pairs.", "both fits have the same data"
    ),
    **_prefixed(
        "n_",
        {
            **dict.fromkeys(
                ("cell_lines_joined", "cell_lines_lost", "cell_lines_gained"),
                "Cell lines of both fits, of A only, of B only.",
            ),
            "cell_lines_values_changed": "Cell lines with the same sequences and new values.",
            **dict.fromkeys(
                ("sequences_lost", "sequences_gained"),
                "Sequences of A only, of B only, among lines of both.",
            ),
        },
        "both runs contain their screen",
    ),
    **{
        f"moved_by_{step}": Metric(
            "Mean over genes of the absolute change of beta by this "
            "[step](compare.md#attribution-of-differences).",
            "differences are attributed",
        )
        for step in STEP_WORDS
    },
}
"""Metrics of a run with the tag `kind: comparison`."""

CALIBRATION_METRICS: dict[str, Metric] = {
    "n_simulations": Metric("Simulated screens that gave a posterior."),
    "n_failed": Metric("Simulated screens without a posterior."),
    "n_troubled": Metric("Simulated screens whose engine flagged its own result."),
    "n_quantities_outside": Metric("Quantities whose ranks leave their band."),
    "seconds_total": Metric("Wall seconds of the calibration."),
    "coverage_<level>_<variable>": Metric(
        "Share of true values inside the central intervals of this level (percent), over all "
        "elements of the variable."
    ),
    "ecdf_<quantity>": Metric(
        "Largest distance of the ECDF of its ranks, pooled over all elements, from the diagonal."
    ),
}
"""Metrics of a run with the tag `kind: calibration`."""

_calls = {
    name: f"{metric.meaning} By method."
    for name, metric in _fields(MethodCalls, *MethodCalls.model_fields).items()
}
TRIAL_METRICS: dict[str, Metric] = {
    "n_permutations": Metric("Permuted screens that were fitted."),
    **_fields(
        PermutationReport,
        *("n_genes", "n_genes_permuted", "n_genes_callable", "n_cell_lines", "n_troubled"),
    ),
    **_prefixed("n_false_", dict.fromkeys(METHODS, _calls["n_false"])),
    **_prefixed("n_other_", dict.fromkeys(METHODS, _calls["n_other"])),
    **_prefixed("false_share_", dict.fromkeys(METHODS, _calls["false_share"])),
    **_prefixed("false_share_low_", dict.fromkeys(METHODS, _calls["low"])),
    **_prefixed("false_share_high_", dict.fromkeys(METHODS, _calls["high"])),
    "seconds_total": Metric("Wall seconds of the trial."),
}
"""Metrics of a run with the tag `kind: permutation_trial`."""

PART_METRICS = ("n_genes", "n_cell_lines", "n_measurements", "rhat_max", "ess_bulk_min")
"""Metrics of an intermediate fit of a comparison (tag `kind: part`); `log_evidence`, if exact."""


@dataclass(frozen=True)
class Tag:
    """A tag of a run."""

    meaning: str
    kinds: tuple[str, ...] = ("fit",)
    """Runs that have it."""


TRIAL = "permutation_trial"
ALL_KINDS = ("fit", "comparison", "part", "calibration", TRIAL)
JUDGED = ("fit", "calibration", TRIAL)
TAGS: dict[str, Tag] = {
    "kind": Tag(
        f"`comparison`, `part` of one, `calibration` or `{TRIAL}`; a fit has none", ALL_KINDS[1:]
    ),
    "dataset": Tag("Name of the dataset and of the experiment", (*ALL_KINDS[:3], TRIAL)),
    "release": Tag(
        "Release, as named in the dataset file; of a comparison, that of B",
        (*ALL_KINDS[:2], TRIAL),
    ),
    "library": Tag("Guide library"),
    "model": Tag("Model that was fitted", ALL_KINDS),
    "engine": Tag("Engine that computed the posterior: `exact`, `gibbs` or `nuts`", JUDGED),
    "verdict": Tag("`pass`, `review` or `fail`", JUDGED),
    "code_version": Tag("Version of ScreenBayes, and the commit of a checkout", ALL_KINDS),
    "data_digest": Tag(
        "SHA-256 of the content of the tables: equal for equal data", ("fit", TRIAL)
    ),
    "parameters_digest": Tag("SHA-256 of all settings; an imported trace has none"),
    "fit_key": Tag("Digest of data, dataset and settings: equal for equal fits"),
    "posterior_digest": Tag("SHA-256 of the draws: equal where all draws are equal"),
    "imported_from": Tag("Library and version that sampled an imported trace"),
    "trace_digest": Tag("SHA-256 of the file of an imported trace"),
    "flow_run": Tag("Id of the flow run in Prefect, if any", ALL_KINDS),
    "gate": Tag("`passed`, or `refused:` and why, once evaluated for promotion"),
    "failure": Tag("Why the run failed", ALL_KINDS),
    "run_a": Tag("Run of fit A", ("comparison",)),
    "run_b": Tag("Run of fit B", ("comparison",)),
    "settings": Tag("Settings of the comparison, as JSON", ("comparison",)),
    "simulated_model": Tag("Model the screens were drawn from", ("calibration",)),
}
"""Tags of ScreenBayes; MLflow adds its own, whose names begin with `mlflow.`."""

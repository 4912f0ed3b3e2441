"""What runs in MLflow are described by, each name with its meaning: metrics and tags.

The pages of reference are made from it, and tests hold runs to it. Settings of a fit, which are its
params, are `schemas.parameters`; columns of the tables of a run `schemas.columns`; who writes all
this is `tasks.track` and, for runs that are no fits, `tasks.track_comparison` and
`tasks.track_calibration`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from schemas.comparison import STEP_WORDS
from schemas.reports import (
    Convergence,
    ExactDiagnostics,
    InfluenceSummary,
    KnownGenes,
    LooSummary,
    NutsDiagnostics,
    PreparationReport,
)


@dataclass(frozen=True)
class Metric:
    """A number of a run."""

    meaning: str
    of: str = ""
    """Which runs have it; empty for all of their kind."""


def _fields(
    report: type[BaseModel], *names: str, prefix: str = "", of: str = ""
) -> dict[str, Metric]:
    """Return metrics that are fields of a report, in its words; all fields where none is named."""
    return {
        f"{prefix}{name}": Metric(" ".join(str(field.description).split()), of)
        for name, field in report.model_fields.items()
        if not names or name in names
    }


def _prefixed(prefix: str, meanings: dict[str, str], of: str = "") -> dict[str, Metric]:
    return {f"{prefix}{name}": Metric(meaning, of) for name, meaning in meanings.items()}


FIT_METRICS: dict[str, Metric] = (
    _fields(Convergence, "rhat_max", "ess_bulk_min", "ess_tail_min")
    | _fields(NutsDiagnostics, "divergences", "bfmi_min", of="engine `nuts`")
    | _fields(
        ExactDiagnostics,
        *("pareto_k", "importance_efficiency", "log_evidence", "log_evidence_mcse"),
        "interpolation_error",
        of="engine `exact`",
    )
    | _fields(LooSummary, "elpd_loo", "elpd_loo_se", "p_loo")
    | _fields(LooSummary, "pareto_k_bad", prefix="loo_")
    | _fields(InfluenceSummary, "elpd_lolo", "elpd_lolo_se", "n_genes_carried_by_one_line")
    | _fields(
        InfluenceSummary,
        *("n_genes_carried_by_one_lineage", "n_genes_marking_a_lineage"),
        of="lineages are known",
    )
    | _fields(PreparationReport, "n_genes", "n_cell_lines", "n_guides", "n_measurements")
    | _prefixed(
        "calls_",
        {
            "negative": "Genes called negative: the more a line expresses the gene, the more it "
            "depends on it.",
            "positive": "Genes called positive: the less.",
            "none": "Genes of which the data do not tell.",
            "not_enough_data": "Genes measured in too few lines, or whose RNA varies too little, "
            "to be called.",
        },
    )
    | _fields(KnownGenes, prefix="known_", of="the dataset lists known expression addictions")
    | _prefixed(
        "seconds_",
        {
            "validate": "Wall seconds of reading and validating the tables.",
            "prepare": "Wall seconds of joining, filtering and standardising.",
            "fit": "Wall seconds of the engine alone; of an imported trace those its file tells.",
            "checks": "Wall seconds of diagnostics, predictive checks, lines left out, pictures.",
            "track": "Wall seconds of writing the run.",
            "total": "Wall seconds from the beginning of the fit to the end of its run.",
        },
    )
)
"""Of a fit. Beside these stand `ppc_<check>` and `ppc_prior_<check>` for each predictive check
(`model.checks.QUANTITIES`): P(replicate >= data) under posterior and prior."""

COMPARISON_METRICS: dict[str, Metric] = {
    "n_genes_joined": Metric("Genes of both fits."),
    "n_genes_lost": Metric("Genes of fit A only."),
    "n_genes_gained": Metric("Genes of fit B only."),
    "n_hits_lost": Metric("Hits of A that are none in B, of the genes of both."),
    "n_hits_gained": Metric("Hits of B that are none in A, of the genes of both."),
    "beta_correlation": Metric("Correlation of the posterior means of beta, of the genes of both."),
    "largest_abs_z": Metric("Largest difference of a beta, in combined posterior SDs."),
    "log_evidence_difference": Metric("Log evidence of B less that of A.", "the same data"),
    "elpd_loo_difference": Metric("`elpd_loo` of B less that of A.", "the same data"),
    "elpd_loo_difference_se": Metric(
        "Its standard error, from its spread over cells.", "the same data"
    ),
    **_prefixed(
        "n_",
        {
            "cell_lines_joined": "Cell lines of both fits.",
            "cell_lines_lost": "Cell lines of fit A only.",
            "cell_lines_gained": "Cell lines of fit B only.",
            "cell_lines_values_changed": "Cell lines with the same sequences and other values.",
            "sequences_lost": "Sequences of A only, of lines of both.",
            "sequences_gained": "Sequences of B only, of lines of both.",
        },
        "both runs hold their screen",
    ),
    **{
        f"moved_by_{step}": Metric(
            f"Mean over genes of how far beta moves by the step `{step}`: {words}.",
            "differences are put down to something",
        )
        for step, words in STEP_WORDS.items()
    },
}
"""Of a run with the tag `kind: comparison`."""

CALIBRATION_METRICS: dict[str, Metric] = {
    "n_simulations": Metric("Simulated screens that gave a posterior."),
    "n_failed": Metric("Simulated screens that gave none."),
    "n_troubled": Metric("Simulated screens whose engine found fault with its own result."),
    "n_quantities_outside": Metric("Quantities whose ranks leave their band."),
    "seconds_total": Metric("Wall seconds of the calibration."),
    "coverage_<level>_<variable>": Metric(
        "Share of true values inside the central intervals of this level in percent, over all "
        "elements of the variable."
    ),
    "ecdf_<quantity>": Metric("Largest distance of the ECDF of its ranks from the diagonal."),
}
"""Of a run with the tag `kind: calibration`."""

PART_METRICS = ("n_genes", "n_cell_lines", "n_measurements", "rhat_max", "ess_bulk_min")
"""Of a fit on the way of a comparison (tag `kind: part`); and `log_evidence`, if exact."""


@dataclass(frozen=True)
class Tag:
    """A text of a run."""

    meaning: str
    kinds: tuple[str, ...] = ("fit",)
    """Which runs have it."""


ALL_KINDS = ("fit", "comparison", "part", "calibration")
TAGS: dict[str, Tag] = {
    "kind": Tag("`comparison`, `part` of one, or `calibration`; a fit has none", ALL_KINDS[1:]),
    "dataset": Tag("Name of the dataset; the experiment bears it too", ALL_KINDS[:3]),
    "release": Tag(
        "Release, as the dataset file names it; of a comparison that of B", ALL_KINDS[:2]
    ),
    "library": Tag("Guide library"),
    "model": Tag("Model that was fitted", ALL_KINDS),
    "engine": Tag("Engine that computed the posterior: `exact` or `nuts`", ("fit", "calibration")),
    "verdict": Tag("`pass`, `review` or `fail`", ("fit", "calibration")),
    "code_version": Tag("Version of ScreenBayes, and the commit of a checkout", ALL_KINDS),
    "data_digest": Tag("SHA-256 of the content of the tables: equal where two fits saw the same"),
    "parameters_digest": Tag("SHA-256 of all settings; an imported trace has none"),
    "fit_key": Tag("Digest of what makes two fits the same: data, dataset, settings"),
    "posterior_digest": Tag("SHA-256 of the draws: equal where two fits drew the same numbers"),
    "imported_from": Tag("Library and version that sampled the draws; of an imported trace"),
    "trace_digest": Tag("SHA-256 of the file of an imported trace"),
    "flow_run": Tag("Id of the flow run in Prefect, where there is one", ALL_KINDS),
    "gate": Tag("`passed`, or `refused:` and why, once the gate was asked"),
    "failure": Tag("Why the run ended badly", ALL_KINDS),
    "run_a": Tag("Run of fit A", ("comparison",)),
    "run_b": Tag("Run of fit B", ("comparison",)),
    "settings": Tag("Settings of the comparison, as JSON", ("comparison",)),
    "simulated_model": Tag("Model the screens were drawn from", ("calibration",)),
}
"""Tags of ours; MLflow adds its own, whose names begin with `mlflow.`."""

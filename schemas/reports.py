"""Typed results of every step: validation, preparation, convergence, predictive checks, verdict.

Diagnostics are data: pydantic models that serialise to JSON. How they are computed is in `model`,
how they are shown in `tasks` and `deployments`.
"""

from __future__ import annotations

from typing import Literal

from schemas.frozen import Frozen
from schemas.plain_text import ShownText

Severity = Literal["error", "warning"]
Status = Literal["pass", "review", "fail"]
Unit = Literal["sequence", "guide", "gene", "cell line", "measurement", "RNA profile"]
Stage = Literal["prior", "posterior"]


class Finding(Frozen):
    """One rule broken in one table."""

    table: str
    """Table (or tables, joined by +) the rule is about."""
    rule: str
    """Short fixed name of the rule, lower case with underscores."""
    severity: Severity
    """An error stops the run; a warning is reported."""
    column: ShownText = ""
    """Column, where the rule is about one."""
    expected: str
    """What the rule asks for."""
    found: tuple[ShownText, ...] = ()
    """Offending values, each with its line if it has one; of cells of a matrix the first ten."""
    count: int
    """How many offending values there are."""
    mend: str
    """What to do about it."""


class TableSummary(Frozen):
    """What was read of one table."""

    table: str
    location: str
    layout: str
    n_rows: int
    n_columns: int
    sha256: str


class ValidationReport(Frozen):
    """All findings in all tables of a dataset."""

    dataset: str
    release: str
    tables: tuple[TableSummary, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that stop the run."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that do not stop the run."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def passed(self) -> bool:
        """Whether the dataset may be fitted."""
        return not self.errors


class Loss(Frozen):
    """Items left out of the fit for one reason; an item is counted under its first reason only."""

    unit: Unit
    """What is counted."""
    reason: str
    """Why, as a phrase."""
    count: int
    """How many."""
    examples: tuple[str, ...] = ()
    """Labels: all of genes and cell lines, the first ten of others, none of measurements."""


class PreparationReport(Frozen):
    """What went into the design and what did not."""

    losses: tuple[Loss, ...]
    """What was left out, by reason."""
    n_genes: int
    """Genes that were fitted."""
    n_cell_lines: int
    """Cell lines that were fitted."""
    n_guides: int
    """Guides that were fitted."""
    n_measurements: int
    """Measurements that were fitted: of a guide in a sequence."""


class VariableConvergence(Frozen):
    """Convergence of one variable, the worst over its genes or cell lines."""

    variable: str
    rhat_max: float
    ess_bulk_min: float
    ess_tail_min: float


class NutsDiagnostics(Frozen):
    """What only a sampler can be asked; NaN means no evidence."""

    divergences: int
    """Divergent transitions after tuning."""
    bfmi_min: float
    """Smallest energy Bayesian fraction of missing information of a chain."""
    step_size_min: float
    """Smallest step size of a chain."""
    step_size_max: float
    """Largest step size of a chain."""


class ExactDiagnostics(Frozen):
    """What only the integration over the hyperparameters can be asked; NaN means no evidence."""

    pareto_k: float
    """Pareto shape of the importance weights: how heavy the tail of the largest is."""
    importance_efficiency: float
    """Effective share of the weighted points: 1 where all weigh the same."""
    n_points: int
    """Weighted points behind the draws."""
    log_evidence: float
    """Natural logarithm of the marginal likelihood of the measurements."""
    log_evidence_mcse: float
    """Monte Carlo standard error of the log evidence."""
    interpolation_error: float
    """Largest error of the interpolated log density at some of the draws; 0 where none was
    interpolated, infinite where too many points lay beyond it."""
    n_passes: int
    """Passes over the data."""

    @property
    def n_effective_points(self) -> float:
        """How many equally weighted points the weighted ones are worth."""
        return self.importance_efficiency * self.n_points


class Convergence(Frozen):
    """Whether the draws can stand for the posterior; NaN means no evidence.

    One of `nuts` and `exact` is there, by the engine that ran.
    """

    rhat_max: float
    """Largest rank-normalised split R-hat over all parameters."""
    ess_bulk_min: float
    """Smallest bulk effective sample size over all parameters."""
    ess_tail_min: float
    """Smallest tail effective sample size over all parameters."""
    mcse_mean_max_ratio: float
    """Largest Monte Carlo standard error of a mean, as a share of the posterior SD."""
    n_draws: int
    """Draws kept, all chains together."""
    worst: tuple[tuple[str, float], ...]
    """The ten parameters with the largest R-hat, each with it."""
    variables: tuple[VariableConvergence, ...] = ()
    """Every variable, in the order of the posterior."""
    nuts: NutsDiagnostics | None = None
    """The sampler's own measures, where the draws were sampled."""
    exact: ExactDiagnostics | None = None
    """The integrator's own measures, where the posterior was integrated."""


class PredictiveCheck(Frozen):
    """One test quantity of the data beside its replicates under the model."""

    name: str
    """Name; the MLflow metric is `ppc_<name>`."""
    description: str
    """What the quantity is and which failure it would show."""
    stage: Stage
    """Which predictive distribution the replicates come from."""
    bears_on_beta: bool = False
    """Whether every interval of beta has a wrong width where it fails: the verdict is `review`."""
    observed: float
    """Quantity in the data."""
    replicated_mean: float
    """Mean over replicates."""
    replicated_low: float
    """5.5 % quantile over replicates."""
    replicated_high: float
    """94.5 % quantile over replicates."""
    p_value: float
    """P(replicate >= observed)."""
    n_draws: int = 0
    """Draws that `p_value` is a share of; 0 in files of earlier versions."""
    furthest_out: tuple[tuple[str, float], ...] = ()
    """Of a check of genes or cell lines, up to three outside their interval, the furthest first;
    each with its spread over that of the model."""


class LooSummary(Frozen):
    """Predictive accuracy for gene-line cells left out one at a time (PSIS-LOO)."""

    elpd_loo: float
    """Expected log predictive density of all cells, each given the others; natural log."""
    elpd_loo_se: float
    """Its standard error: sqrt(cells) times the SD over cells."""
    p_loo: float
    """Effective number of parameters: what the density of the cells as fitted is above it."""
    pareto_k_bad: float
    """Share of cells whose Pareto k is above the limit: their densities are not to be relied on."""
    n_cells: int
    """Cells that were left out in turn."""
    n_cells_of_screen: int
    """Cells of the whole screen; more than `n_cells` where only a part of a large one is taken."""


class KnownGenes(Frozen):
    """Agreement with a list of genes expected to have negative slopes; NaN where nothing is known.

    Genes without enough data for a call are in none of the numbers but the first.
    """

    n_listed: int
    """Genes of the list."""
    n_compared: int
    """Of them fitted, with enough data for a call."""
    n_others: int
    """Fitted genes, with enough data for a call, that are not on the list."""
    n_negative: int
    """Listed genes that are called negative."""
    n_positive: int
    """Listed genes that are called positive: against what is known."""
    n_negative_others: int
    """Other genes that are called negative."""
    share_negative_low: float
    """Lower end of the 89 % interval of the share of negative among the calls of listed genes."""
    share_negative_high: float
    """Upper end."""
    auc: float
    """Probability that a listed gene has a lower slope than another; 0.5 where the list says
    nothing. NaN where all fitted genes are on the list, or none."""
    auc_low: float
    """Lower end of its 89 % interval."""
    auc_high: float
    """Upper end."""
    enrichment_p: float
    """p-value of Fisher's test that listed genes are called negative more often than others."""


class InfluenceSummary(Frozen):
    """What leaving out every cell line, and every lineage, has shown."""

    elpd_lolo: float
    """Log density of the measurements of each line, each given all other lines; natural log."""
    elpd_lolo_se: float
    """Its standard error: sqrt(lines) times the SD over lines."""
    pareto_k_max: float
    """Largest Pareto k of the weighted points without a line; NaN where one point stood for all."""
    n_genes: int
    """Genes that were looked at; fewer than those of the screen where that is very large."""
    n_genes_of_screen: int
    """Genes of the screen."""
    n_genes_carried_by_one_line: int
    """Genes whose sign is sure, and no longer so without some one line."""
    n_lineages: int
    """Lineages that were left out; 0 where they are not known."""
    n_genes_carried_by_one_lineage: int
    """Genes whose sign is sure, and no longer so without some one lineage."""
    n_genes_marking_a_lineage: int
    """Genes whose sign is sure, and whose effect all but vanishes within lineages."""


class Verdict(Frozen):
    """Whether the fit may be used, and why not."""

    status: Status
    reasons: tuple[str, ...]
    """One sentence a reason, each with what to do; empty for `pass`."""
    notes: tuple[str, ...] = ()
    """What a reader should know and the status does not rest on: predictive checks that fail."""

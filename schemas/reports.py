"""Typed results of every step: validation, preparation, convergence, predictive checks, verdict.

They are pydantic models that serialise to JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan, nan
from typing import Literal

from pydantic import AliasChoices, Field

from schemas.base import Frozen
from schemas.formatting import ShownText

Severity = Literal["error", "warning"]
Status = Literal["pass", "review", "fail"]
Unit = Literal["sequence", "guide", "gene", "cell line", "measurement", "RNA profile"]
Stage = Literal["prior", "posterior"]


class Finding(Frozen):
    """One rule broken in one table."""

    table: str
    """Table (or tables, joined by +) the rule is about."""
    rule: str
    """Fixed name of the rule, lower case with underscores."""
    severity: Severity
    """An error stops the run; a warning is reported."""
    column: ShownText = ""
    """Column, where the rule is about one."""
    expected: str
    """What the rule requires."""
    found: tuple[ShownText, ...] = ()
    """Offending values, each with its line if it has one; the first ten of a matrix."""
    count: int
    """Number of offending values."""
    remedy: str
    """What to do."""


class TableSummary(Frozen):
    """Source and size of one table."""

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


class Exclusion(Frozen):
    """Items excluded from the fit for one reason; each item is counted under its first reason."""

    unit: Unit
    """Kind of item."""
    reason: str
    """Reason, as a phrase."""
    count: int
    """Number of items."""
    examples: tuple[str, ...] = ()
    """Labels: all genes and cell lines, the first ten of other items, no measurements."""


class PreparationReport(Frozen):
    """Items fitted and excluded."""

    losses: tuple[Exclusion, ...]
    """Exclusions by reason."""
    n_genes: int
    """Genes that were fitted."""
    n_cell_lines: int
    """Cell lines that were fitted."""
    n_guides: int
    """Guides that were fitted."""
    n_measurements: int
    """Measurements (one guide in one sequence) that were fitted."""
    n_without_copy_number: int | None = None
    """Fitted gene-line pairs whose copy number is unknown; None without a copy-number table."""

    @property
    def copy_number_note(self) -> str:
        """How many pairs have no copy number, as a phrase; empty without a table."""
        if self.n_without_copy_number is None:
            return ""
        return f"copy number unknown for {self.n_without_copy_number:,} gene-line pairs"


class VariableConvergence(Frozen):
    """Convergence of one variable, the worst over its genes or cell lines."""

    variable: str
    rhat_max: float
    ess_bulk_min: float
    ess_tail_min: float
    rhat_beyond_chance: float | None = None
    """Largest R-hat among the parameters where it is larger than the largest of so many would be by
    chance; 1 where none is. None for few parameters."""
    ess_bulk_low: float | None = None
    """Bulk effective sample size that 99 of 100 parameters reach. None for few parameters."""
    ess_tail_low: float | None = None

    @property
    def rhat_judged(self) -> float:
        """The R-hat that the verdict judges."""
        return self.rhat_max if self.rhat_beyond_chance is None else self.rhat_beyond_chance

    @property
    def ess_bulk_judged(self) -> float:
        """The bulk effective sample size that the verdict judges."""
        return self.ess_bulk_min if self.ess_bulk_low is None else self.ess_bulk_low

    @property
    def ess_tail_judged(self) -> float:
        """The tail effective sample size that the verdict judges."""
        return self.ess_tail_min if self.ess_tail_low is None else self.ess_tail_low


class NutsDiagnostics(Frozen):
    """Diagnostics of NUTS; NaN means no evidence."""

    divergences: int
    """Divergent transitions after tuning."""
    bfmi_min: float
    """Smallest energy Bayesian fraction of missing information of a chain."""
    step_size_min: float
    """Smallest step size of a chain."""
    step_size_max: float
    """Largest step size of a chain."""


EVIDENCE_ERROR_PARETO_K = 0.5
"""Above this Pareto k the variance of the importance weights may be infinite, and the standard
error of their mean, the evidence, is underestimated (Vehtari et al. 2024, Pareto smoothed
importance sampling)."""


class ExactDiagnostics(Frozen):
    """Diagnostics of the integration over the hyperparameters; NaN means no evidence."""

    pareto_k: float
    """Pareto shape of the tail of the importance weights."""
    importance_efficiency: float
    """Effective share of the weighted points: 1 where all weights are equal."""
    n_points: int
    """Weighted points behind the draws."""
    log_evidence: float
    """Natural logarithm of the marginal likelihood of the measurements."""
    log_evidence_mcse: float
    """Monte Carlo standard error of the log evidence; a lower bound where `pareto_k` is above 0.5,
    up to nine times too small."""
    interpolation_error: float
    """Largest error of the interpolated log density at some of the draws; 0 where nothing was
    interpolated, infinite where too many points lay outside the grid."""
    n_passes: int
    """Passes over the data."""

    @property
    def n_effective_points(self) -> float:
        """Number of equally weighted points with the same precision."""
        return self.importance_efficiency * self.n_points

    @property
    def mcse_is_lower_bound(self) -> bool:
        """Whether `log_evidence_mcse` is only a lower bound; so it is for a NaN Pareto k."""
        return not self.pareto_k <= EVIDENCE_ERROR_PARETO_K


class GibbsDiagnostics(Frozen):
    """Diagnostics of the Gibbs engine: shares of Metropolis-Hastings proposals accepted."""

    accepted_spread: float
    """Accepted share of the proposed spreads of genes over cell lines, smallest of a chain."""
    accepted_lines: float
    """Accepted share of the proposed effects, scales and noise of lines, smallest of a chain."""
    accepted_line_sds: float
    """Accepted share of the proposed SDs of lines and of guide-line pairs, smallest of a chain."""


class Convergence(Frozen):
    """Convergence of the draws; NaN means no evidence.

    One of `nuts`, `exact` and `gibbs` is set, by the engine that ran.
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
    """The ten parameters with the largest R-hat, and that R-hat."""
    variables: tuple[VariableConvergence, ...] = ()
    """Every variable, in the order of the posterior."""
    nuts: NutsDiagnostics | None = None
    """Diagnostics of the sampler, where the draws were sampled."""
    exact: ExactDiagnostics | None = None
    """Diagnostics of the integrator, where the posterior was integrated."""
    gibbs: GibbsDiagnostics | None = None
    """Of the Gibbs engine."""

    @property
    def rhat_judged(self) -> float:
        """The largest R-hat that the verdict judges; NaN where there is one."""
        judged = [variable.rhat_judged for variable in self.variables]
        return _worst(max, judged or [self.rhat_max])

    @property
    def ess_bulk_judged(self) -> float:
        """The smallest bulk effective sample size judged; NaN where there is one."""
        judged = [variable.ess_bulk_judged for variable in self.variables]
        return _worst(min, judged or [self.ess_bulk_min])

    @property
    def ess_tail_judged(self) -> float:
        """The smallest tail effective sample size judged; NaN where there is one."""
        judged = [variable.ess_tail_judged for variable in self.variables]
        return _worst(min, judged or [self.ess_tail_min])


def _worst(worst: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    """Return the largest or smallest of values; NaN where there is one."""
    return nan if any(map(isnan, values)) else worst(values)


SLOPE_TAILS = "slope_tails"
"""The predictive check of the shape of the slopes."""


class PredictiveCheck(Frozen):
    """One test quantity of the data compared with its replicates under the model."""

    name: str
    """Name; the MLflow metric is `ppc_<name>`."""
    description: str
    """Definition of the quantity, and the misfit it shows."""
    stage: Stage
    """Predictive distribution of the replicates."""
    bears_on_beta: bool = False
    """Whether its failure makes every interval of beta too narrow or wide: verdict `review`."""
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
    """Draws behind `p_value`; 0 in files of earlier versions."""
    largest_outliers: tuple[tuple[str, float], ...] = Field(
        (),
        validation_alias=AliasChoices("largest_outliers", "furthest_out"),  # in earlier runs
    )
    """Of a check of genes or cell lines, up to three outside their interval, largest first; each
    with its spread over that of the model."""


class LooSummary(Frozen):
    """Predictive accuracy for gene-line pairs left out one at a time (PSIS-LOO)."""

    elpd_loo: float
    """Expected log predictive density of all gene-line pairs, each given the others; natural
    log."""
    elpd_loo_se: float
    """Its standard error: sqrt(pairs) times the SD over pairs."""
    p_loo: float
    """Effective number of parameters: log density of the pairs in the fit less `elpd_loo`."""
    pareto_k_bad: float
    """Share of gene-line pairs whose Pareto k is above the limit: their densities are
    unreliable."""
    n_cells: int
    """Gene-line pairs that were left out in turn."""
    n_cells_of_screen: int
    """Gene-line pairs of the screen; more than `n_cells` where a large screen was subsampled."""


class KnownGenes(Frozen):
    """Agreement with a list of genes expected to have negative slopes; NaN where unknown.

    Genes without enough data for a call count only in `n_listed`.
    """

    n_listed: int
    """Genes on the list."""
    n_compared: int
    """Listed genes that are fitted, with enough data for a call."""
    n_others: int
    """Fitted genes, with enough data for a call, that are not on the list."""
    n_negative: int
    """Listed genes that are called negative."""
    n_positive: int
    """Listed genes that are called positive, in contradiction to the list."""
    n_negative_others: int
    """Other genes that are called negative."""
    share_negative_low: float
    """Lower end of the 89 % interval of the share of negative calls among listed genes called."""
    share_negative_high: float
    """Upper end of the 89 % interval of that share."""
    auc: float
    """Probability that a listed gene has a lower slope than another; 0.5 where the list is
    uninformative. NaN where all fitted genes are on the list, or none."""
    auc_low: float
    """Lower end of the 89 % interval of the AUC."""
    auc_high: float
    """Upper end of the 89 % interval of the AUC."""
    enrichment_p: float
    """p-value of Fisher's test that listed genes are called negative more often than others."""


class InfluenceSummary(Frozen):
    """Influence of each cell line and lineage, from leaving it out.

    The density of left-out measurements and Pareto k are None for slopes with a mixture prior.
    """

    elpd_lolo: float | None
    """Log density of the measurements of each line, each given all other lines; natural log."""
    elpd_lolo_se: float | None
    """Its standard error: sqrt(lines) times the SD over lines."""
    pareto_k_max: float | None
    """Largest Pareto k of the weighted points without a line; NaN where a single point was used."""
    n_genes: int
    """Genes evaluated; a subsample of a very large screen."""
    n_genes_of_screen: int
    """Genes of the screen."""
    n_genes_carried_by_one_line: int
    """Genes whose sign is sure with all lines, and not without some one line."""
    n_lineages: int
    """Lineages that were left out; 0 where they are unknown."""
    n_genes_carried_by_one_lineage: int
    """Genes whose sign is sure with all lineages, and not without some one lineage."""
    n_genes_marking_a_lineage: int
    """Genes whose sign is sure, and whose effect nearly vanishes within lineages."""


class Verdict(Frozen):
    """Whether the fit may be used, with reasons."""

    status: Status
    reasons: tuple[str, ...]
    """One sentence per reason, each with what to do; empty for `pass`."""
    notes: tuple[str, ...] = ()
    """Findings that do not affect the status: predictive checks that fail."""

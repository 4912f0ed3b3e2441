"""The result of a fit as Markdown, for the Prefect UI and the terminal.

The full page is `tasks.reports.html`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from model.effects.copy_number import FLAG as COPY_NUMBER_FLAG
from model.effects.copy_number import carried_by_copy_number
from model.effects.gene_effects import CALLED, count_calls, influential_lines
from schemas.dataset import Dataset
from schemas.formatting import format_probability, list_first
from schemas.parameters import FitParameters
from schemas.posterior import is_single
from schemas.reports import Convergence, Exclusion, KnownGenes, PreparationReport, Verdict
from tasks.reports.markdown import as_text, link_to, markdown_table
from tasks.tracking.artifacts import without_effect

if TYPE_CHECKING:  # spares `screenbayes show` the import of what only a fit needs
    from model.screen.inclusion import InclusionTable

GENES_SHOWN = 10
NOT_KNOWN = "–"
COLUMNS = {
    "gene": "gene",
    "call": "call",
    "driven by": "driven by",
    "beta_mean": "beta",
    "beta_sd": "SD",
    "beta_hdi_low": "low",
    "beta_hdi_high": "high",
    "lfsr": "lfsr",
}
"""Headings of the table of genes, short enough for a terminal of 80 columns."""


class Named(Protocol):
    """A release of a dataset."""

    @property
    def name(self) -> str:
        """Name of the dataset."""

    @property
    def release(self) -> str:
        """Its release."""


class ReportedFit(Protocol):
    """What the result is made of: a fit (`model.fit.FitResults`), or one read from MLflow."""

    @property
    def dataset(self) -> Named:
        """Dataset and release."""

    @property
    def parameters(self) -> FitParameters:
        """All settings."""

    @property
    def verdict(self) -> Verdict:
        """Whether the fit may be used."""

    @property
    def preparation(self) -> PreparationReport:
        """What was fitted, and what was excluded."""

    @property
    def convergence(self) -> Convergence:
        """Diagnostics of the engine."""

    @property
    def summary(self) -> pd.DataFrame:
        """One row per parameter."""

    @property
    def effects(self) -> pd.DataFrame:
        """One row per gene."""

    @property
    def inclusion(self) -> InclusionTable:
        """Every item of the input, and the reason of its exclusion."""

    @property
    def known_genes(self) -> KnownGenes | None:
        """Agreement with known genes; None where the dataset lists none."""


def result_markdown(results: ReportedFit, run_location: str = "") -> str:
    """Return verdict, exclusions, hyperparameters, most negative slopes and where the run is."""
    dataset, parameters = results.dataset, results.parameters
    top = results.effects.nsmallest(GENES_SHOWN, "beta_mean")
    top = top.assign(**{"driven by": dominant_group(top)})[list(COLUMNS)]
    return "\n".join(
        [
            f"# {dataset.name} {dataset.release}, {parameters.model}: {results.verdict.status}",
            "",
            _what_was_fitted(results.preparation),
            "",
            *([link_to("The run in MLflow", run_location), ""] if run_location else []),
            describe_computation(results.convergence),
            "",
            *_points(results.verdict),
            "",
            *_exclusions(results),
            "## Hyperparameters",
            "",
            *_hyperparameters(results.summary),
            "",
            f"## Most negative slopes on RNA ({len(top)} of {len(results.effects)} genes)",
            "",
            *_genes(top, results.convergence.n_draws),
            "",
            "beta: log fold change per SD of RNA, with its SD and its 89 % interval (HDI); lfsr: "
            "probability that its sign is wrong; driven by: the cell line or lineage without which "
            f"the sign would not be sure ({NOT_KNOWN}: none was left out).",
            "",
            *map(as_text, summarise_calls(results)),
        ]
    )


def reused_markdown(
    dataset: Dataset, parameters: FitParameters, run_location: str, *, imported: bool = False
) -> str:
    """Return that the very fit was there already, and where."""
    how = "imported" if imported else "fitted"
    same = (
        "Trace, tables and settings have the same content as in a finished run, which is the "
        "result."
        if imported
        else "The tables have the same content and the parameters the same values as in a finished "
        "fit, which is the result. To fit once more, set *Repeat*."
    )
    return "\n".join(
        [
            f"# {dataset.name} {dataset.release}, {parameters.model}: {how} before",
            "",
            same,
            "",
            link_to("The run in MLflow", run_location),
        ]
    )


def _what_was_fitted(prepared: PreparationReport) -> str:
    note = prepared.copy_number_note
    return (
        f"{prepared.n_genes:,} genes, {prepared.n_cell_lines:,} cell lines, "
        f"{prepared.n_guides:,} guides, {prepared.n_measurements:,} measurements"
        f"{note and f'; {note}'}."
    )


def describe_computation(convergence: Convergence) -> str:
    """Return in a line which engine ran and how well it did."""
    exact, nuts = convergence.exact, convergence.nuts
    fewest = min(convergence.ess_bulk_min, convergence.ess_tail_min)
    sampled = (
        f"largest R-hat {convergence.rhat_max:.3f}, smallest effective sample size {fewest:.0f}"
    )
    if exact is not None:
        error = ""
        if exact.mcse_is_lower_bound:
            error = f" with a Monte Carlo error of at least {exact.log_evidence_mcse:.2g}"
        return (
            f"exact: importance efficiency {exact.importance_efficiency:.2f}, "
            f"Pareto k {exact.pareto_k:.2f}, log evidence {exact.log_evidence:.1f}{error}"
        )
    if nuts is not None:
        return f"nuts: {sampled}, {nuts.divergences} divergent draws"
    if convergence.gibbs is not None:
        return f"gibbs: {sampled}"
    return "the engine left no diagnostics of its own"


def summarise_calls(results: ReportedFit) -> list[str]:
    """Return the result over all genes: calls, genes without one, and the known genes."""
    counts = ", ".join(f"{n:,} {call}" for call, n in count_calls(results.effects).items())
    n_without = len(without_effect(results.inclusion))
    parts = [counts, _driven_by_one_line(results.effects), _carried_by_copy_number(results.effects)]
    parts.append(f"{n_without:,} genes were not fitted (genes_without_effect.csv).")
    lines = ["Calls: " + "; ".join(filter(None, parts))]
    if results.known_genes is not None:
        lines += ["", describe_known_genes(results.known_genes)]
    return lines


def dominant_group(effects: pd.DataFrame) -> pd.Series:
    """Return the line or lineage that drives each effect, in words (G,).

    That is copy number, the cell line that carries it or, where none does, the lineage; nothing
    where none of these does, and NOT_KNOWN of a gene without which no line was left out.
    """
    words = pd.Series(NOT_KNOWN, effects.index)
    for flag, labels in (
        ("carried_by_one_lineage", lambda of: of["most_influential_lineage"]),
        ("carried_by_one_line", influential_lines),
    ):
        if flag in effects:
            carried = effects[flag].fillna(False).astype(bool)
            words[effects[flag].notna() & (words == NOT_KNOWN)] = ""
            words[carried] = labels(effects[carried])
    if COPY_NUMBER_FLAG in effects:
        words[effects[COPY_NUMBER_FLAG]] = "copy number"
    return words


def _carried_by_copy_number(effects: pd.DataFrame) -> str:
    """Return which calls copy number carries; empty for a fit without its table."""
    if COPY_NUMBER_FLAG not in effects:
        return ""
    without = effects["call_without_copy_number"].isin(CALLED)
    carried = carried_by_copy_number(effects)
    names = list_first(list(carried["gene"]), GENES_SHOWN)
    return (
        f"copy number carries {len(carried):,} of the {without.sum():,} calls made without it"
        f"{names and f' ({names})'}; mean slope on copy number "
        f"{effects['copy_number_slope'].mean():.3f} log2 per log2(ratio + 1)"
    )


def _driven_by_one_line(effects: pd.DataFrame) -> str:
    """Return how many calls are driven by one line; empty where none was assessed."""
    if "carried_by_one_line" not in effects:
        return ""
    called = effects.loc[effects["call"].isin(CALLED), "carried_by_one_line"]
    assessed = called.dropna()
    if assessed.empty:
        return ""
    n = int(assessed.sum())
    of = f"{len(assessed):,} called" + " and assessed" * (len(assessed) < len(called))
    return f"{n:,} of the {of} {'is' if n == 1 else 'are'} driven by one cell line"


def describe_known_genes(known: KnownGenes) -> str:
    """Return the agreement with the known expression addictions in words."""
    if not known.n_compared:
        return (
            f"Known expression addictions: none of {known.n_listed:,} listed genes was fitted with "
            "enough data for a call."
        )
    words = (
        f"Known expression addictions: {known.n_compared:,} of {known.n_listed:,} listed genes "
        f"compared; {known.n_negative:,} called negative, {known.n_positive:,} positive"
    )
    if known.n_negative + known.n_positive:
        words += (
            f" (share of negative among the calls, 89 % interval: {known.share_negative_low:.2f} "
            f"to {known.share_negative_high:.2f})"
        )
    if not known.n_others:
        return f"{words}. All fitted genes are listed: there are no others to compare them with."
    if math.isnan(known.auc_low):
        return (
            f"{words}. Not listed: {known.n_others:,} of the fitted genes, too few to compare with."
        )
    return (
        f"{words}. Of {known.n_others:,} other genes {known.n_negative_others:,} are called "
        f"negative (enrichment p = {known.enrichment_p:.2g}); AUC of the slopes {known.auc:.2f}, "
        f"89 % interval {known.auc_low:.2f} to {known.auc_high:.2f}."
    )


def _points(verdict: Verdict) -> list[str]:
    reasons = [f"- {as_text(reason)}" for reason in verdict.reasons]
    return reasons + [f"- note: {as_text(note)}" for note in verdict.notes]


def examples_shown(loss: Exclusion, inclusion: InclusionTable, most: int) -> str:
    """Return the first excluded items, cell lines with their names."""
    items = loss.examples[:most]
    labels = inclusion.label_lines(items) if loss.unit == "cell line" else items
    return ", ".join(labels) + (", ..." if loss.count > len(labels) > 0 else "")


def _exclusions(results: ReportedFit) -> list[str]:
    """Return the table of what was excluded, why, and examples; nothing where nothing was."""
    rows = [
        (f"{one.count:,}", one.unit, one.reason, examples_shown(one, results.inclusion, 4))
        for one in results.preparation.losses
    ]
    if not rows:
        return []
    return ["## Excluded", "", *markdown_table(("count", "what", "why", "which"), rows), ""]


def _hyperparameters(summary: pd.DataFrame) -> list[str]:
    """Return the rows of `summary.csv` for parameters shared by genes or cell lines."""
    interval = [column for column in summary.columns if column.startswith("hdi")]
    columns = ["parameter", "mean", "sd", *interval, "ess_bulk", "r_hat"]
    rows = summary.loc[is_single(summary["parameter"]), columns]
    return markdown_table(columns, (map(_shown, row) for row in rows.itertuples(index=False)))


def _genes(rows: pd.DataFrame, n_draws: int) -> list[str]:
    """Return the table of genes; an lfsr below the resolution of the draws is an upper bound."""
    cells = (
        (*map(_shown, row[:-1]), format_probability(row[-1], n_draws))
        for row in rows.itertuples(index=False)
    )
    return markdown_table(tuple(COLUMNS.values()), cells)


def _shown(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"

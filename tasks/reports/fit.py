"""The result of a fit as Markdown, for the Prefect UI and the terminal.

It begins with the answer (`tasks.reports.answer`). The full page is `tasks.reports.html`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from model.effects.gene_effects import CALLED
from schemas.dataset import Dataset
from schemas.formatting import format_probability
from schemas.parameters import FitParameters
from schemas.posterior import is_single
from schemas.reports import Convergence, Exclusion, Verdict
from tasks.reports.answer import (
    NOT_KNOWN,
    ReportedFit,
    called_genes,
    describe_answer,
    describe_confidence,
    describe_question,
    describe_verdict,
    dominant_group,
)
from tasks.reports.markdown import as_text, link_to, markdown_table
from tasks.tracking.artifacts import EXPLORER_FILE, without_effect

if TYPE_CHECKING:  # spares `screenbayes show` the import of what only a fit needs
    from model.screen.inclusion import InclusionTable

GENES_SHOWN = 20
"""Called genes of each sign."""
GENES_NEAREST = 5
"""Genes without a call, where there are no calls."""
EXAMPLES_SHOWN = 4
LISTED = {"sequence", "gene", "cell line"}
"""Excluded items with examples; of guides and measurements the number says all."""
COLUMNS = {
    "gene": "gene",
    "call": "call",
    "driven by": "driven by",
    "beta_mean": "beta",
    "beta_hdi_low": "low",
    "beta_hdi_high": "high",
    "lfsr": "lfsr",
}
"""Headings of the table of genes, short enough for a terminal of 80 columns."""


NOT_STORED = (
    "**Not stored yet.** Pictures and files are being written into the run; this page is replaced "
    "when they are. If the flow run ends before, MLflow has no finished run of this fit."
)


def run_links(run_location: str, *, explorer: bool) -> str:
    """Return links to a run in MLflow, its report and its explorer, or how to open them."""
    pages = ["report.html", *[EXPLORER_FILE] * explorer]
    if not run_location.startswith("http"):
        return f"{link_to('', run_location)}; its artifacts have {' and '.join(pages)}"
    page, mark, query = run_location.partition("?")
    links = [link_to("The run in MLflow", run_location)]
    links += [link_to(name, f"{page}/artifacts/{name}{mark}{query}") for name in pages]
    return " · ".join(links)


def result_markdown(results: ReportedFit, where: str = "") -> str:
    """Return the answer, then its reasons: verdict, exclusions, hyperparameters.

    `where` says, in Markdown, where the run is: `run_links`, or `NOT_STORED`.
    """
    dataset, model, effects = results.dataset, results.parameters.model, results.effects
    n_without = len(without_effect(results.inclusion))
    return "\n".join(
        [
            f"# {dataset.name} {dataset.release}, {model}: {results.verdict.status}",
            "",
            as_text(describe_question(results)),
            "",
            f"**{describe_answer(effects)}**",
            "",
            f"Verdict: {as_text(describe_verdict(results.verdict))}",
            "",
            *([where, ""] if where else []),
            *_genes(effects, results.convergence.n_draws),
            "",
            *(f"- {as_text(sentence)}" for sentence in describe_confidence(results)),
            "",
            *_points(results.verdict),
            "",
            *_exclusions(results),
            f"Genes that were not fitted: {n_without:,}, listed in genes_without_effect.csv.",
            "",
            "## Computation and hyperparameters",
            "",
            describe_computation(results.convergence),
            "",
            *_hyperparameters(results.summary),
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


def _points(verdict: Verdict) -> list[str]:
    if not (verdict.reasons or verdict.notes):
        return []
    reasons = [f"- {as_text(reason)}" for reason in verdict.reasons]
    notes = [f"- note: {as_text(note)}" for note in verdict.notes]
    return ["## Why this verdict", "", *reasons, *notes]


def examples_shown(loss: Exclusion, inclusion: InclusionTable, most: int) -> str:
    """Return the first excluded items, cell lines with their names; none of guides and others."""
    if loss.unit not in LISTED:
        return ""
    items = loss.examples[:most]
    labels = inclusion.label_lines(items) if loss.unit == "cell line" else items
    return ", ".join(labels) + (", ..." if loss.count > len(labels) > 0 else "")


def _exclusions(results: ReportedFit) -> list[str]:
    """Return the table of what was excluded, why, and examples; nothing where nothing was."""
    rows = [
        (
            f"{one.count:,}",
            one.unit,
            one.reason,
            examples_shown(one, results.inclusion, EXAMPLES_SHOWN),
        )
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


def _genes(effects: pd.DataFrame, n_draws: int) -> list[str]:
    """Return the called genes of either sign, or those nearest to a call where there are none.

    An lfsr below the resolution of the draws is an upper bound.
    """
    shown = pd.concat([of.head(GENES_SHOWN) for of in called_genes(effects).values()])
    n_more = int(effects["call"].isin(CALLED).sum()) - len(shown)
    more = [f"{n_more:,} more called genes are in gene_effects.csv.", ""] if n_more else []
    title: list[str] = []
    if shown.empty:
        shown, title = effects.nsmallest(GENES_NEAREST, "lfsr"), ["Nearest to a call:", ""]
    rows = shown.assign(**{"driven by": dominant_group(shown)})[list(COLUMNS)]
    cells = (
        (*map(_shown, row[:-1]), format_probability(row[-1], n_draws))
        for row in rows.itertuples(index=False)
    )
    return [
        *title,
        *markdown_table(tuple(COLUMNS.values()), cells),
        "",
        *more,
        "beta: log fold change per SD of RNA; low, high: its 89 % interval (HDI); lfsr: the "
        "probability that its sign is wrong; driven by: the cell line or lineage without which the "
        f"sign would not be sure ({NOT_KNOWN}: none was left out).",
    ]


def _shown(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"

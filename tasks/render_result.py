"""The result of a fit as Markdown, for the Prefect UI. The full page is `tasks.report`."""

from __future__ import annotations

import math

import pandas as pd

from model.effects import CALLED, count_calls
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.reports import Convergence, KnownGenes, PreparationReport, Verdict
from schemas.shares import share_in_words
from tasks.artifacts import FitResults, without_effect
from tasks.markdown import as_text, link_to, markdown_table

GENES_SHOWN = 10
NOT_KNOWN = "–"
COLUMNS = [
    "gene",
    "call",
    "rests on",
    "beta_mean",
    "beta_sd",
    "beta_hdi_low",
    "beta_hdi_high",
    "lfsr",
]


def result_markdown(results: FitResults, where_to_look: str) -> str:
    """Return verdict, most negative slopes and where the run is."""
    dataset, parameters = results.dataset, results.parameters
    top = results.effects.nsmallest(GENES_SHOWN, "beta_mean")
    top = top.assign(**{"rests on": rests_on(top)})[COLUMNS]
    return "\n".join(
        [
            f"# {dataset.name} {dataset.release}, {parameters.model}: {results.verdict.status}",
            "",
            _what_was_fitted(results.preparation),
            "",
            link_to("The run in MLflow", where_to_look),
            "",
            how_computed(results.convergence),
            "",
            *_points(results.verdict),
            "",
            f"## Most negative slopes on RNA ({len(top)} of {len(results.effects)} genes)",
            "",
            _table(top, results.convergence.n_draws),
            "",
            "beta: log fold change per SD of RNA, with its 89 % interval (HDI); lfsr: probability "
            "that its sign is wrong; rests on: the cell line or lineage without which the sign "
            f"would not be sure ({NOT_KNOWN}: none was left out).",
            "",
            *said_of_genes(results),
        ]
    )


def reused_markdown(
    dataset: Dataset, parameters: FitParameters, where_to_look: str, *, imported: bool = False
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
            link_to("The run in MLflow", where_to_look),
        ]
    )


def _what_was_fitted(prepared: PreparationReport) -> str:
    return (
        f"{prepared.n_genes:,} genes, {prepared.n_cell_lines:,} cell lines, "
        f"{prepared.n_guides:,} guides, {prepared.n_measurements:,} measurements."
    )


def how_computed(convergence: Convergence) -> str:
    """Return in a line which engine ran and how well it did."""
    exact, nuts = convergence.exact, convergence.nuts
    if exact is not None:
        return (
            f"exact: importance efficiency {exact.importance_efficiency:.2f}, "
            f"Pareto k {exact.pareto_k:.2f}, log evidence {exact.log_evidence:.1f}"
        )
    if nuts is not None:
        fewest = min(convergence.ess_bulk_min, convergence.ess_tail_min)
        return (
            f"nuts: largest R-hat {convergence.rhat_max:.3f}, "
            f"smallest effective sample size {fewest:.0f}, {nuts.divergences} divergent draws"
        )
    return "the engine left no diagnostics of its own"


def said_of_genes(results: FitResults) -> list[str]:
    """Return what the fit says of all genes: calls, genes without, and the known ones."""
    counts = ", ".join(f"{n:,} {call}" for call, n in count_calls(results.effects).items())
    n_without = len(without_effect(results.roster))
    said = [counts, _said_of_one_line(results.effects)]
    said.append(f"{n_without:,} genes were not fitted (genes_without_effect.csv).")
    lines = ["Calls: " + "; ".join(filter(None, said))]
    if results.known_genes is not None:
        lines += ["", said_of_known_genes(results.known_genes)]
    return lines


def rests_on(effects: pd.DataFrame) -> pd.Series:
    """Return what each effect of a `gene_effects` rests on, in words (G,).

    That is the cell line that carries it or, where none does, the lineage; nothing where none of
    both does, and NOT_KNOWN of a gene without which no line was left out.
    """
    words = pd.Series(NOT_KNOWN, effects.index)
    for flag, label in (
        ("carried_by_one_lineage", "most_influential_lineage"),
        ("carried_by_one_line", "most_influential_line"),
    ):
        if flag in effects:
            carried = effects[flag].fillna(False).astype(bool)
            words[effects[flag].notna() & (words == NOT_KNOWN)] = ""
            words[carried] = effects.loc[carried, label]
    return words


def _said_of_one_line(effects: pd.DataFrame) -> str:
    """Return how many of the calls rest on one line; nothing where that is not known of any."""
    if "carried_by_one_line" not in effects:
        return ""
    called = effects.loc[effects["call"].isin(CALLED), "carried_by_one_line"]
    looked_at = called.dropna()
    if looked_at.empty:
        return ""
    n = int(looked_at.sum())
    of = f"{len(looked_at):,} called" + " that were looked at" * (len(looked_at) < len(called))
    return f"{n:,} of the {of} {'rests' if n == 1 else 'rest'} on one cell line"


def said_of_known_genes(known: KnownGenes) -> str:
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


def _table(rows: pd.DataFrame, n_draws: int) -> str:
    cells = (
        (*map(_shown, row[:-1]), share_in_words(row[-1], n_draws))
        for row in rows.itertuples(index=False)
    )
    return "\n".join(markdown_table(tuple(rows.columns), cells))


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"

"""The answer of a fit in the words of its users: what was asked, what was found, how sure it is.

The report, the terminal, Prefect's page and the note in MLflow begin with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from model.effects.copy_number import FLAG as COPY_NUMBER_FLAG
from model.effects.copy_number import carried_by_copy_number
from model.effects.gene_effects import CALLED, NOT_ENOUGH_DATA, count_calls, influential_lines
from schemas.formatting import cut_list, list_first
from schemas.parameters import Filters, FitParameters
from schemas.reports import Convergence, KnownGenes, PreparationReport, Verdict

if TYPE_CHECKING:  # spares `screenbayes show` the import of what only a fit needs
    from model.screen.inclusion import InclusionTable

NAMES_SHOWN = 10
MOST_CHARACTERS = 120
"""Of the first reason in the line of the verdict; all of it stands below."""
NOT_KNOWN = "–"
DIRECTIONS = {
    "negative": "needed more where expressed more",
    "positive": "needed less where expressed more",
}
"""Meaning of each call."""
STATUS_WORDS = {
    "pass": "the result may be used",
    "review": "read the reasons before using the result",
    "fail": "do not use the result",
}
_KEPT = {
    "genes": "only the genes",
    "cell_lines": "only the cell lines",
    "without_cell_lines": "without the cell lines",
    "lineages": "only the lineages",
}


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


def describe_question(results: ReportedFit) -> str:
    """Return what was asked of which data."""
    fitted = results.preparation
    part = _describe_filters(results.parameters.filters, results.inclusion)
    return (
        f"Which of {fitted.n_genes:,} genes do cell lines need more, or less, where they express "
        f"them more? Asked of {fitted.n_cell_lines:,} cell lines{part}: {fitted.n_guides:,} "
        f"guides, {fitted.n_measurements:,} measurements, model {results.parameters.model}."
    )


def _describe_filters(filters: Filters, inclusion: InclusionTable) -> str:
    given: dict[str, tuple[str, ...]] = filters.model_dump(exclude_none=True)
    parts = []
    for name, words in _KEPT.items():
        if names := list(given.get(name, ())):
            labels = inclusion.label_lines(names) if "lines" in name else names
            parts.append(f"{words} {list_first(labels, NAMES_SHOWN)}")
    return f" ({'; '.join(parts)})" if parts else ""


def describe_answer(effects: pd.DataFrame) -> str:
    """Return how many genes have a slope of either sign, and how many have none that is sure."""
    n = count_calls(effects)
    few = n[NOT_ENOUGH_DATA]
    words = (
        f"{n['negative']:,} of {len(effects):,} genes {_be(n['negative'])} {DIRECTIONS['negative']}"
        f" (negative), {n['positive']:,} {_be(n['positive'])} {DIRECTIONS['positive']} (positive)."
    )
    unsure = f"the sign of {n['none']:,} is not sure" if n["none"] else ""
    lacking = f"{few:,} {'has' if few == 1 else 'have'} not enough data" if few else ""
    rest = "; ".join(filter(None, (unsure, lacking)))
    return f"{words} {rest[0].upper()}{rest[1:]}." if rest else words


def _be(n: int) -> str:
    return "is" if n == 1 else "are"


def called_genes(effects: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the called genes by sign, those with the largest slope first."""
    return {
        call: effects[effects["call"] == call].sort_values(
            "beta_mean", ascending=call == "negative", kind="stable"
        )
        for call in CALLED
    }


def describe_confidence(results: ReportedFit) -> list[str]:
    """Return how sure the calls are, in sentences."""
    effects, calls = results.effects, results.parameters.calls
    called = effects[effects["call"].isin(CALLED)]
    least = f" or its slope smaller than {calls.min_effect:g}" if calls.min_effect else ""
    rule = (
        f"A gene is called where the probability that its sign is wrong{least} is at most "
        f"{calls.error_max:g}"
    )
    if len(called):
        n_wrong = called["call_error"].sum()
        about = "fewer than 0.1" if n_wrong < 0.1 else f"about {n_wrong:.1f}"
        rule += f"; if the model is right, {about} of the {len(called):,} calls are wrong"
    sentences = [f"{rule}.", *_driven_by_one_line(effects), *_carried_by_copy_number(effects)]
    if results.known_genes is not None:
        sentences.append(describe_known_genes(results.known_genes))
    return sentences


def describe_verdict(verdict: Verdict) -> str:
    """Return the verdict in one line: its status, its meaning, and the first reason."""
    words = f"{verdict.status} – {STATUS_WORDS[verdict.status]}"
    if not verdict.reasons:
        return f"{words}."
    first = cut_list(verdict.reasons[0].partition(":")[0].rstrip("."), MOST_CHARACTERS)
    more = len(verdict.reasons) - 1
    return f"{words}: {first}" + (f"; and {more} more reason{'s' * (more > 1)}." if more else ".")


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


def _driven_by_one_line(effects: pd.DataFrame) -> Iterator[str]:
    """Yield how many calls are driven by one line, if lines were left out."""
    if "carried_by_one_line" not in effects:
        return
    called = effects.loc[effects["call"].isin(CALLED), "carried_by_one_line"]
    assessed = called.dropna()
    if assessed.empty:
        return
    n = int(assessed.sum())
    of = f"{len(assessed):,} called" + " and assessed" * (len(assessed) < len(called))
    number = f"{n:,}" if n else "None"
    why = ": without it the sign is not sure" if n else ""
    yield f"{number} of the {of} {_be(n or 1)} driven by one cell line{why}."


def _carried_by_copy_number(effects: pd.DataFrame) -> Iterator[str]:
    """Yield which calls copy number carries, for a fit with its table."""
    if COPY_NUMBER_FLAG not in effects:
        return
    without = effects["call_without_copy_number"].isin(CALLED)
    carried = carried_by_copy_number(effects)
    names = list_first(list(carried["gene"]), NAMES_SHOWN)
    yield (
        f"Copy number carries {len(carried):,} of the {without.sum():,} calls made without it"
        f"{names and f' ({names})'}, which are not called here; mean slope on copy number "
        f"{effects['copy_number_slope'].mean():.3f} log2 per log2(ratio + 1)."
    )


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

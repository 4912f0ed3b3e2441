"""Renders what a fit says about one gene as Markdown, for the terminal and notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from model.effects.copy_number import FLAG as COPY_NUMBER_FLAG
from model.effects.gene_effects import CALLED
from model.effects.gene_story import GeneStory
from schemas.formatting import format_probability, label_line
from tasks.reports.markdown import as_text, markdown_table

HALF = 12
"""Characters of a bar on either side of 0."""
DIRECTIONS = {
    "negative": "negative: lines that express the gene more depend on it more",
    "positive": "positive: lines that express the gene more depend on it less",
    "none": "none: the sign of the slope is not sure",
}


def gene_markdown(story: GeneStory, n_draws: int) -> str:
    """Return slope, call, rank and flags of a gene, and its data by RNA, guide and cell line.

    `n_draws` is the number of draws of the posterior.
    """
    effect, unit = story.effect, "log2(TPM+1)" if story.rna_is_log2 else "z-score"
    lines = [
        f"# {as_text(story.gene)}",
        "",
        f"- slope: {effect['beta_mean']:.3f} log fold change per SD of RNA, 89 % interval "
        f"{effect['beta_hdi_low']:.3f} to {effect['beta_hdi_high']:.3f}",
        f"- call: {_call(effect)}",
        f"- lfsr, the probability that the sign is wrong: "
        f"{format_probability(effect['lfsr'], n_draws)}",
        f"- rank: {story.rank:,} of {story.n_genes:,} genes, 1 being the most negative slope",
        *(f"- {as_text(flag)}" for flag in describe_flags(effect)),
        "",
        "## Log fold change by RNA",
        "",
        *markdown_table(
            (f"RNA, {unit}", "cell lines", "log fold change", "below or above 0"),
            _by_rna(story.by_rna),
        ),
        "",
        "Means of the measurements in a fifth of the cell lines each, with effects of cell lines.",
        "",
        "## Guides",
        "",
        *markdown_table(
            ("guide", "cell lines", "log fold change", "slope"),
            (
                (guide, str(n), _number(logfc), _number(slope))
                for guide, n, logfc, slope in _rows(
                    story.guides, "guide", "n_cell_lines", "logfc", "slope"
                )
            ),
        ),
        "",
        "slope: least squares on RNA, guide by guide; a call should not rest on one guide.",
    ]
    if len(story.lines):
        lines += [
            "",
            "## Cell lines that change the slope most",
            "",
            *markdown_table(
                ("cell line", "slope without it", "change in SD", "lfsr without it"),
                (
                    (line, _number(beta), f"{change:+.2f}", format_probability(lfsr, n_draws))
                    for line, beta, change, lfsr in _rows(
                        story.lines, "cell_line", "beta_without", "change_in_sd", "lfsr_without"
                    )
                ),
            ),
        ]
    return "\n".join(lines)


def describe_flags(effect: pd.Series) -> list[str]:
    """Return the flags of a gene in words, one sentence each; `effect` is its row of effects."""
    assessed = pd.notna(effect.get("carried_by_one_line"))
    words = list(_flags(effect))
    if not assessed:
        words.append("influence: no cell line was left out for this gene")
    elif not words:
        words.append("influence: no single cell line or lineage drives the slope")
    return words


def _flags(effect: pd.Series) -> Iterator[str]:
    for group in ("line", "lineage"):
        if _is_set(effect, f"carried_by_one_{group}"):
            change = effect["influence" if group == "line" else "lineage_influence"]
            what = "cell line" if group == "line" else "lineage"
            dominant = effect[f"most_influential_{group}"]
            if name := effect.get("most_influential_line_name") if group == "line" else "":
                dominant = label_line(dominant, name)
            yield (
                f"driven by one {what}: without {dominant} the sign is "
                f"not sure (the slope changes by {change:+.1f} SD)"
            )
    if _is_set(effect, "marks_lineage"):
        yield (
            "marks a lineage: surely less than half of the slope remains within lineages "
            f"({effect['beta_within_lineage_mean']:.3f}), so expression may stand for the lineage"
        )
    if _is_set(effect, COPY_NUMBER_FLAG):
        yield (
            "carried by copy number: called without the copy-number table (slope "
            f"{effect['beta_mean_without_copy_number']:.3f}), and not with it"
        )


def _is_set(effect: pd.Series, flag: str) -> bool:
    value = effect.get(flag)
    return bool(pd.notna(value) and value)


def _call(effect: pd.Series) -> str:
    call = str(effect["call"])
    if call in CALLED or call == "none":
        return DIRECTIONS[call]
    reason = effect.get("call_reason", "")
    return f"{call}: {reason}" if reason else call


def _by_rna(groups: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    largest = float(groups["logfc"].abs().max()) or 1.0
    rows = _rows(groups, "rna_low", "rna_high", "n_cell_lines", "logfc")
    for low, high, n_lines, logfc in rows:
        yield (
            f"{low:.2f} to {high:.2f}",
            str(n_lines),
            _number(logfc),
            _bar(logfc / largest),
        )


def _rows(table: pd.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].tolist() for name in names), strict=True)


def _bar(share: float) -> str:
    """Return a bar from 0 in the middle to -1 at the left or 1 at the right."""
    length = round(HALF * abs(share))
    bar, rest = "█" * length, "·" * (HALF - length)
    empty = "·" * HALF
    return f"{rest}{bar}│{empty}" if share < 0 else f"{empty}│{bar}{rest}"


def _number(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.3f}"

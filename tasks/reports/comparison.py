"""Renders a comparison of two fits as Markdown, for Prefect, MLflow and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from schemas.comparison import STEP_WORDS, Comparison, DataChanges, FitSummary, ItemChange
from schemas.formatting import format_probability, format_setting, list_first
from tasks.reports.markdown import as_text, link_to, markdown_table

GENES_SHOWN = 10
NAMES_SHOWN = 12
MOST_ITEMS = {"Guides": 0, "Sequences": 4}
"""Items named of these kinds, whose names say little; comparison.json has all."""
SMALLEST_SHIFT = 0.1
"""Batches with a shift below this share of the largest are not listed."""
COLUMNS = {
    "gene": "gene",
    "beta_mean_a": "A",
    "beta_mean_b": "B",
    "difference": "B-A",
    "difference_z": "z",
    "prob_sign_change": "sign",
    "prob_practical": "moved",
    "hit": "hit",
}
"""Headers of the table of genes, short enough for a terminal of 80 columns."""
DECIMALS = {"difference_z": 1, "prob_sign_change": 2, "prob_practical": 2}
"""Of columns of that table; 3 of the others."""
LEGEND = (
    "A and B: posterior means of beta. z: B-A in combined posterior SDs. sign: probability that "
    "beta has the other sign in B. moved: probability that it differs by more than the practical "
    "difference. hit: both fits, lost in B, gained in B, neither, or opposite sign: a hit in both, "
    "which contradict each other; these come first."
)


def comparison_markdown(comparison: Comparison, genes: pd.DataFrame, run_location: str = "") -> str:
    """Return the changes of data, settings and hits, and the largest differences of genes."""
    a, b = comparison.a, comparison.b
    lines = [
        f"# {comparison.dataset}: {_label(a)} (A) and {_label(b)} (B)",
        "",
        f"- A: run {a.run_id}",
        f"- B: run {b.run_id}",
        *_points(describe_comparison(comparison)),
        *_table(
            ("", "A", "B"),
            (
                (name, _format_value(getattr(a, field)), _format_value(getattr(b, field)))
                for name, field in {
                    "verdict": "verdict",
                    "engine": "engine",
                    "genes": "n_genes",
                    "cell lines": "n_cell_lines",
                    "measurements": "n_measurements",
                    "log evidence": "log_evidence",
                }.items()
            ),
        ),
    ]
    if comparison.data is not None and not comparison.identical:
        lines += [
            "## Differences in the data",
            "",
            *_points(describe_data_changes(comparison.data)),
        ]
    if comparison.changed_parameters:
        lines += ["## Differences in the settings", ""]
        changed = (
            (name, *(format_setting(name, value) for value in both))
            for name, both in comparison.changed_parameters.items()
        )
        lines += _table(("parameter", "A", "B"), changed)
    if not comparison.identical:
        lines += [*_attribution(comparison), *_model_tables(comparison), *_genes(comparison, genes)]
    if run_location:
        lines.append(link_to("The comparison in MLflow", run_location))
    return "\n".join(lines)


def describe_comparison(comparison: Comparison) -> Iterator[str]:
    """Yield the findings of a comparison as sentences."""
    if comparison.identical_draws:
        yield "Every draw of every parameter is identical: this is the same fit twice."
    elif comparison.identical:
        yield "The numbers of every gene are identical."
    if comparison.same_data:
        yield (
            "The tables have the same content. The two posteriors are not independent: differences "
            "show effects of model and settings, and z and probabilities are not a test."
        )
    else:
        yield "The tables differ in content."
    for what, names in {
        "Hits with opposite signs in A and B": comparison.hits_opposite_sign,
        "Genes only in A": comparison.genes_lost,
        "Genes only in B": comparison.genes_gained,
        "Genes renamed": [f"{a} -> {b}" for a, b in comparison.genes_renamed.items()],
        "Hits lost": comparison.hits_lost,
        "Hits gained": comparison.hits_gained,
    }.items():
        yield f"{what}: {_shorten(names)}."
    yield f"Correlation of beta: {comparison.beta_correlation:.3f}."
    if comparison.log_evidence_difference is not None:
        yield (
            f"Log evidence, B - A: {comparison.log_evidence_difference:.1f}: the data favour "
            f"{'B' if comparison.log_evidence_difference > 0 else 'A'}."
        )
    if comparison.elpd_loo_difference is not None:
        yield (
            "Expected log predictive density of a left-out gene-line pair (LOO), B - A: "
            f"{comparison.elpd_loo_difference:.1f}, standard error "
            f"{comparison.elpd_loo_difference_se:.1f}."
        )


def describe_data_changes(data: DataChanges) -> Iterator[str]:
    """Yield the differences in the data as sentences."""
    yield f"{data.n_cell_lines_joined} cell lines in both."
    for what, items in {
        "Cell lines only in A": (data.cell_lines_lost, "b"),
        "Cell lines only in B": (data.cell_lines_gained, "a"),
        "Genes only in A": (data.genes_lost, "b"),
        "Genes only in B": (data.genes_gained, "a"),
        "Guides only in A, of genes in both": (data.guides_lost, "b"),
        "Guides only in B, of genes in both": (data.guides_gained, "a"),
        "Sequences only in A, of lines in both": (data.sequences_lost, "b"),
        "Sequences only in B, of lines in both": (data.sequences_gained, "a"),
    }.items():
        changes, other = items
        if changes:
            most = MOST_ITEMS.get(what.partition(" ")[0], NAMES_SHOWN)
            yield f"{what}: {_shorten(_with_reason(changes, other), most)}."
    if data.profiles_changed:
        named = [f"{one.cell_line} ({one.a} -> {one.b})" for one in data.profiles_changed]
        yield f"Default RNA profiles changed: {_shorten(named)}."
    if data.rna_changed:
        yield f"RNA values differ in {_shorten(data.rna_changed)}."
    if len(data.copy_number_in) == 1:
        yield f"Only {data.copy_number_in[0]} has a copy-number table."
    if data.copy_number_changed:
        yield f"Copy numbers differ in {_shorten(data.copy_number_changed)}."
    if data.values_changed:
        yield (
            "Log fold changes of the same sequences differ in cell lines "
            f"{_shorten(data.values_changed)}."
        )
        for batch in data.batches:
            if abs(batch.shift) >= SMALLEST_SHIFT * abs(data.batches[0].shift):
                yield (
                    f"pDNA batch {batch.pdna_batch}: moved by {batch.shift:+.3f} (log2) in "
                    f"{batch.n_cell_lines} of these lines, SD over guides {batch.spread:.3f}."
                )
    if data.nothing:
        yield "Both fits have the same data."


def _attribution(comparison: Comparison) -> list[str]:
    if comparison.not_attributed:
        return [
            "## What the differences are due to",
            "",
            as_text(f"Not columns apart: {comparison.not_attributed}."),
            "",
        ]
    if not comparison.steps:
        return []
    header = ("step", "mean move of beta", "genes moved", "most moved")
    rows = (
        (
            STEP_WORDS[step.name],
            f"{step.mean_abs_difference:.3f}",
            str(step.n_genes_moved),
            ", ".join(step.largest),
        )
        for step in comparison.steps
    )
    return ["## What the differences are due to", "", *_table(header, rows)]


def _model_tables(comparison: Comparison) -> list[str]:
    scalars = (
        (one.parameter, _estimate(one.mean_a, one.sd_a), _estimate(one.mean_b, one.sd_b))
        for one in comparison.scalars
    )
    checks = (
        (one.check, _share(one.p_value_a, one.n_draws_a), _share(one.p_value_b, one.n_draws_b))
        for one in comparison.checks
    )
    lines = []
    if comparison.scalars:
        lines += ["## Means and standard deviations", ""]
        lines += _table(("parameter", "A: mean (SD)", "B: mean (SD)"), scalars)
    if comparison.checks:
        lines += ["## Predictive checks", ""]
        lines += _table(("check", "A: p", "B: p"), checks)
    return lines


def _genes(comparison: Comparison, genes: pd.DataFrame) -> list[str]:
    shown = genes.head(GENES_SHOWN)
    steps = {f"due_to_{step.name}": step.name for step in comparison.steps}
    lines = [
        f"## Largest differences of {comparison.n_genes_joined} genes",
        "",
        *_table(tuple(COLUMNS.values()), _as_text(shown, COLUMNS)),
        LEGEND,
        "",
    ]
    if len(steps) > 1:
        header = ("gene", "B-A, due to", *steps.values())
        rows = _as_text(shown, ("gene", "difference", *steps))
        lines += [*_table(header, rows), "The parts of a difference by step, as above.", ""]
    return lines


def _as_text(genes: pd.DataFrame, columns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    for row in genes[[*columns]].itertuples(index=False):
        yield tuple(
            value if isinstance(value, str) else f"{value:.{DECIMALS.get(name, 3)}f}"
            for name, value in zip(columns, row, strict=True)
        )


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [*markdown_table(header, rows), ""]


def _points(sentences: Iterable[str]) -> list[str]:
    return [*(f"- {as_text(sentence)}" for sentence in sentences), ""]


def _with_reason(changes: Iterable[ItemChange], other: str) -> list[str]:
    """Return each item with its status in the fit that lacks it."""
    return [f"{change.item} ({getattr(change, other)})" for change in changes]


def _shorten(names: Sequence[str], most: int = NAMES_SHOWN) -> str:
    if not (names and most):
        return f"{len(names):,}" if names else "none"
    return f"{len(names):,}: {list_first(names, most)}"


def _format_value(value: str | float | None) -> str:
    return f"{value:.1f}" if isinstance(value, float) else "" if value is None else str(value)


def _estimate(mean: float, sd: float) -> str:
    return "" if math.isnan(mean) else f"{mean:.3f} ({sd:.3f})"


def _share(p: float, n_draws: int) -> str:
    if math.isnan(p):
        return ""
    return format_probability(p, n_draws) if n_draws else f"{p:.3f}"


def _label(fit: FitSummary) -> str:
    return f"{fit.release} {fit.model}"

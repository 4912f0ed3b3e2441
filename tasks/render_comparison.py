"""A comparison of two fits as Markdown, for the Prefect UI and the head of its MLflow run."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from schemas.comparison import Comparison, FitSummary
from tasks.render_validation import markdown_row

GENES_SHOWN = 10
NAMES_SHOWN = 12
COLUMNS = (
    "gene",
    "beta_mean_a",
    "beta_mean_b",
    "difference",
    "difference_z",
    "prob_sign_change",
    "prob_practical",
)


def comparison_markdown(
    comparison: Comparison, genes: pd.DataFrame, where_to_look: str = ""
) -> str:
    """Return what changed: data, parameters, hits, and the genes with the largest differences."""
    a, b = comparison.a, comparison.b
    lines = [
        f"# {comparison.dataset}: {_label(a)} (A) and {_label(b)} (B)",
        "",
        *_in_words(comparison),
        "",
        markdown_row(("", "A", "B")),
        markdown_row(("---",) * 3),
        *(
            markdown_row((name, str(getattr(a, field)), str(getattr(b, field))))
            for name, field in {
                "run": "run_id",
                "verdict": "verdict",
                "genes": "n_genes",
                "cell lines": "n_cell_lines",
                "measurements": "n_measurements",
                "log evidence": "log_evidence",
            }.items()
        ),
        "",
    ]
    if comparison.changed_parameters:
        lines += [markdown_row(("parameter", "A", "B")), markdown_row(("---",) * 3)]
        lines += [
            markdown_row((name, *both)) for name, both in comparison.changed_parameters.items()
        ]
        lines.append("")
    if not comparison.identical:
        lines += [f"## Largest differences of {comparison.genes_joined} genes", ""]
        lines += [markdown_row(COLUMNS), markdown_row(("---",) * len(COLUMNS))]
        for gene, *numbers in genes[list(COLUMNS)].head(GENES_SHOWN).itertuples(index=False):
            lines.append(markdown_row((gene, *(f"{number:.3f}" for number in numbers))))
        lines.append("")
    if where_to_look.startswith("http"):
        lines.append(f"[The comparison in MLflow]({where_to_look})")
    elif where_to_look:
        lines.append(f"MLflow: {where_to_look}")
    return "\n".join(lines)


def _in_words(comparison: Comparison) -> list[str]:
    points = []
    if comparison.identical:
        points.append("The numbers of every gene are identical.")
    if comparison.same_data:
        points.append(
            "The tables have the same content. The two posteriors are not independent: differences "
            "show what model and settings make of the data, and z and probabilities are no test."
        )
    else:
        points.append("The tables differ in content.")
    for what, names in {
        "Genes only in A": comparison.genes_lost,
        "Genes only in B": comparison.genes_gained,
        "Genes renamed": [f"{a} -> {b}" for a, b in comparison.genes_renamed.items()],
        "Hits lost": comparison.hits_lost,
        "Hits gained": comparison.hits_gained,
    }.items():
        points.append(f"{what}: {_some(names)}.")
    points.append(f"Correlation of beta: {comparison.beta_correlation:.3f}.")
    if comparison.log_evidence_difference is not None:
        points.append(f"Log evidence, B less A: {comparison.log_evidence_difference:.1f}.")
    return [f"- {point}" for point in points]


def _some(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = f", and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{len(names)}: {', '.join(names[:NAMES_SHOWN])}{more}"


def _label(fit: FitSummary) -> str:
    return f"{fit.release} {fit.model}"

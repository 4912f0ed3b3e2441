"""The result of a fit as Markdown, for the Prefect UI. The full page is `tasks.report`."""

from __future__ import annotations

import pandas as pd

from schemas.reports import Verdict
from tasks.artifacts import FitResults

GENES_SHOWN = 10
COLUMNS = ["gene", "beta_mean", "beta_sd", "beta_hdi_low", "beta_hdi_high", "lfsr"]


def result_markdown(results: FitResults, where_to_look: str) -> str:
    """Return verdict, most negative slopes and where the run is."""
    dataset, parameters = results.dataset, results.parameters
    top = results.effects.nsmallest(GENES_SHOWN, "beta_mean")[COLUMNS]
    return "\n".join(
        [
            f"# {dataset.name} {dataset.release}, {parameters.model}: {results.verdict.status}",
            "",
            *_points(results.verdict),
            "",
            f"## Most negative slopes on RNA ({len(top)} of {len(results.effects)} genes)",
            "",
            _table(top),
            "",
            f"MLflow: {where_to_look}",
        ]
    )


def _points(verdict: Verdict) -> list[str]:
    reasons = [f"- {reason}" for reason in verdict.reasons]
    return reasons + [f"- note: {remark}" for remark in verdict.remarks]


def _table(rows: pd.DataFrame) -> str:
    head = ["| " + " | ".join(rows.columns) + " |", "|" + " --- |" * len(rows.columns)]
    body = [
        "| " + " | ".join([row[0], *(f"{value:.3f}" for value in row[1:])]) + " |"
        for row in rows.itertuples(index=False)
    ]
    return "\n".join(head + body)

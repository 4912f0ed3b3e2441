"""Renders a calibration as Markdown, for Prefect, MLflow and the terminal."""

from __future__ import annotations

from schemas.calibration import LEVELS, CalibrationReport
from tasks.reports.markdown import markdown_head, markdown_row


def calibration_markdown(report: CalibrationReport, run_location: str = "") -> str:
    """Return the verdict with reasons and notes, and a table of all variables."""
    settings = report.settings
    engines = " and ".join(f"{name} ({n:,})" for name, n in report.engines.items())
    lines = [
        f"# Calibration of {settings.model}: {report.verdict.status}",
        "",
        f"{report.n_simulations:,} screens of {settings.genes} genes, {settings.cell_lines} cell "
        f"lines, {settings.guides} guides per gene and {settings.replicates} replicates per line, "
        f"drawn from {settings.simulated} and fitted with {settings.model} by {engines}.",
        "",
        *(f"- {sentence}" for sentence in (*report.verdict.reasons, *report.verdict.notes)),
        "",
    ]
    if report.n_troubled:
        lines += [
            f"In {report.n_troubled:,} of them diagnostics of the engine failed; they are counted "
            "like the others.",
            "",
        ]
    lines += markdown_head(
        ("quantity", "ranks", "largest difference", *(f"{level:.0%}" for level in LEVELS))
    )
    coverage = {(one.variable, one.level): one.coverage for one in report.coverage}
    for one in report.quantities:
        of_levels = (coverage.get((one.quantity, level)) for level in LEVELS)
        lines.append(
            markdown_row(
                (
                    one.quantity,
                    "uniform" if one.inside else "not uniform",
                    f"{one.largest_difference:+.3f}",
                    *("" if value is None else f"{value:.1%}" for value in of_levels),
                )
            )
        )
    lines += [
        "",
        "Ranks: whether the ranks of true values in the posterior are uniform, over all elements "
        "of a vector. Last columns: share of true values inside the intervals of that probability.",
    ]
    if run_location:
        lines += ["", f"View it: {run_location}"]
    return "\n".join(lines)

"""A calibration as Markdown, for the Prefect UI, the terminal and the head of its MLflow run."""

from __future__ import annotations

from schemas.calibration import LEVELS, CalibrationReport
from tasks.markdown import markdown_head, markdown_row


def calibration_markdown(report: CalibrationReport, where_to_look: str = "") -> str:
    """Return verdict with reasons, and a table of all variables."""
    settings = report.settings
    engines = " and ".join(f"{name} ({n:,})" for name, n in report.engines.items())
    lines = [
        f"# Calibration of {settings.model}: {report.verdict.status}",
        "",
        f"{report.n_simulations:,} screens of {settings.genes} genes, {settings.cell_lines} cell "
        f"lines, {settings.guides} guides a gene and {settings.replicates} sequences a line, drawn "
        f"from {settings.simulated} and fitted with {settings.model} by {engines}.",
        "",
        *(f"- {reason}" for reason in report.verdict.reasons),
        "",
    ]
    if report.n_troubled:
        lines += [
            f"In {report.n_troubled:,} of them the engine found fault with its own result (as a "
            "fit's verdict would say); they are counted like the others.",
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
        "Ranks: whether the true values fall evenly over the posterior. Last columns: share of "
        "true values inside the intervals of that probability.",
    ]
    if where_to_look:
        lines += ["", f"Look at it: {where_to_look}"]
    return "\n".join(lines)

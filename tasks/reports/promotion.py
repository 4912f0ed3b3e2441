"""Renders a decision of the gate as Markdown, for Prefect and the terminal."""

from __future__ import annotations

from schemas.comparison import FitSummary
from schemas.promotion import GateDecision
from tasks.reports.markdown import as_text, link_to, markdown_head, markdown_row

LOST_HITS_SHOWN = 50


def gate_markdown(decision: GateDecision, run_location: str = "") -> str:
    """Return the decision, its conditions with findings, and the lost hits."""
    lines = [
        f"# {decision.dataset}: {_label(decision.candidate)}, {decision.outcome}",
        "",
        describe_outcome(decision),
        "",
    ]
    if decision.conditions:
        lines += markdown_head(("condition", "", "what was found"))
        lines += [
            markdown_row((one.name, "met" if one.met else "**not met**", as_text(one.detail)))
            for one in decision.conditions
        ]
        lines.append("")
    if decision.lost_hits:
        lines += [f"## Lost hits of the champion: {len(decision.lost_hits):,}", ""]
        lines += markdown_head(("gene", "explained", "why"))
        lines += [
            markdown_row(
                (as_text(one.gene), "yes" if one.explained else "**no**", as_text(one.why))
            )
            for one in decision.lost_hits[:LOST_HITS_SHOWN]
        ]
        if len(decision.lost_hits) > LOST_HITS_SHOWN:
            lines += ["", f"The others are in `gate.json` of run {decision.candidate.run_id}."]
        lines.append("")
    if run_location:
        lines.append(link_to("The run in MLflow", run_location))
    return "\n".join(lines)


def describe_outcome(decision: GateDecision) -> str:
    """Return a sentence on which fit is the champion now."""
    candidate = f"{_label(decision.candidate)} (run {decision.candidate.run_id})"
    if decision.already_champion:
        return f"{candidate} is the champion of {decision.dataset} already: nothing changed."
    if not decision.passed:
        stays = (
            "there is still none"
            if decision.champion is None
            else f"that stays version {decision.champion_version}, {_label(decision.champion)}"
        )
        return f"{candidate} does not become the champion of {decision.dataset}: {stays}."
    if decision.champion is None:
        return f"{candidate} is the champion of {decision.dataset} now, its first."
    return (
        f"{candidate} is the champion of {decision.dataset} now, in place of version "
        f"{decision.champion_version}, {_label(decision.champion)} (run "
        f"{decision.champion.run_id})."
    )


def _label(fit: FitSummary) -> str:
    return f"{fit.release} {fit.model} {fit.engine}"

"""A decision of the gate as Markdown, for the Prefect UI and the terminal."""

from __future__ import annotations

from schemas.comparison import FitSummary
from schemas.gate import GateDecision
from tasks.markdown import as_text, link_to, markdown_head, markdown_row

LOSSES_SHOWN = 50


def gate_markdown(decision: GateDecision, where_to_look: str = "") -> str:
    """Return the decision, the conditions with what was found, and the hits that are lost."""
    lines = [
        f"# {decision.dataset}: {_label(decision.candidate)}, {decision.in_a_word}",
        "",
        outcome(decision),
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
        lines += [f"## Hits of the champion that are lost: {len(decision.lost_hits):,}", ""]
        lines += markdown_head(("gene", "explained", "why"))
        lines += [
            markdown_row(
                (as_text(one.gene), "yes" if one.explained else "**no**", as_text(one.why))
            )
            for one in decision.lost_hits[:LOSSES_SHOWN]
        ]
        if len(decision.lost_hits) > LOSSES_SHOWN:
            lines += ["", f"The others are in `gate.json` of run {decision.candidate.run_id}."]
        lines.append("")
    if where_to_look:
        lines.append(link_to("The run in MLflow", where_to_look))
    return "\n".join(lines)


def outcome(decision: GateDecision) -> str:
    """Return in a sentence which fit is the champion now."""
    candidate = f"{_label(decision.candidate)} (run {decision.candidate.run_id})"
    if decision.already_champion:
        return f"{candidate} is the champion of {decision.dataset} already: nothing was done."
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

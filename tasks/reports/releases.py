"""Renders the status of releases as Markdown, for Prefect."""

from __future__ import annotations

from schemas.release_status import SeenRelease
from tasks.reports.markdown import as_text, markdown_head, markdown_row


def refresh_markdown(prefix: str, seen: tuple[SeenRelease, ...]) -> str:
    """Return a table of all releases under the prefix, those with problems first."""
    order = ("refused", "failed", "incomplete", "changing", "started", "under way", "fitted")
    rows = sorted(seen, key=lambda one: order.index(one.status))
    header = ("release", "status", "flow run", "dataset file")
    lines = [f"## Releases under {as_text(prefix)}", ""]
    if not rows:
        return "\n".join([*lines, "There are none.\n"])
    lines += markdown_head(header)
    lines += [
        markdown_row(
            (as_text(one.name), one.status, _link(one.flow_run), as_text(one.dataset_file))
        )
        for one in rows
    ]
    # Below the table: Prefect does not wrap lines in tables.
    for one in rows:
        if one.detail:
            lines += ["", f"**{as_text(one.name)}, {one.status}**: {as_text(one.detail)}"]
    return "\n".join(lines) + "\n"


def _link(flow_run: str) -> str:
    """Return a link within the Prefect UI."""
    return f"[flow run](/runs/flow-run/{flow_run})" if flow_run else ""

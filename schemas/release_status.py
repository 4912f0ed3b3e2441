"""State of the releases under a prefix."""

from __future__ import annotations

from typing import Literal

from schemas.base import Frozen

ReleaseStatus = Literal[
    "started", "under way", "fitted", "refused", "failed", "changing", "incomplete"
]


class SeenRelease(Frozen):
    """One dataset file under the prefix, and its state."""

    dataset_file: str
    """Its path or address."""
    name: str
    """Dataset and release; the address of a file that could not be read."""
    status: ReleaseStatus
    """`started`: by this refresh. `refused`: the data are invalid; retried when replaced.
    `failed`: the environment failed; retried. `changing`: recently modified."""
    detail: str = ""
    """Reason, or what to do."""
    flow_run: str = ""
    """Id of the Prefect flow run that fits it."""

"""What a look at the releases under a prefix came to. Looking is `tasks.releases`."""

from __future__ import annotations

from typing import Literal

from schemas.frozen import Frozen

ReleaseStatus = Literal[
    "started", "under way", "fitted", "refused", "failed", "changing", "incomplete"
]


class SeenRelease(Frozen):
    """One dataset file under the prefix, and how far it is."""

    dataset_file: str
    """Where it is."""
    name: str
    """Dataset and release; the file's address where it could not be read."""
    status: ReleaseStatus
    """`started`: by this look. `refused`: the data break the contract; taken up when replaced.
    `failed`: its surroundings failed; taken up again. `changing`: written to a moment ago."""
    detail: str = ""
    """Why, or what is to be done."""
    flow_run: str = ""
    """Id of the Prefect flow run that fits it."""

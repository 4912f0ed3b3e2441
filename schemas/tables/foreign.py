"""Tables of other sources than a release, recognised by their columns so that they can be named."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OF_PORTAL = "which has symbols without Entrez numbers"
_OF_MAGECK = (
    "a comparison by MAGeCK, without cell lines (stack those of several lines, with a column "
    "`cell_line`, to a long table)"
)
_SOURCES = (
    ({"depmapid", "celllinedisplayname"}, f"a custom download of the portal, {_OF_PORTAL}"),
    ({"celllinedisplayname", "lineage1"}, f"a custom download of the portal, {_OF_PORTAL}"),
    ({"depmapid", "celllinename", "primarydisease"}, "a download of the portal for single genes"),
    ({"depmapid", "gene", "dependency"}, "gene effects of the R package depmap, without guides"),
    ({"sgrna", "gene", "controlmean", "treatmean"}, _OF_MAGECK),
    ({"id", "num", "negscore", "posscore"}, "genes ranked by MAGeCK, without guides"),
)
"""Columns that identify a source, in small letters without punctuation, and what it is."""


def foreign_source(header: Sequence[str]) -> str:
    """Return what a table of another source is, as a phrase; empty for others."""
    # The columns that identify a table are among the first; a matrix has tens of thousands.
    columns = {re.sub(r"[\W_]", "", name).casefold() for name in header[:100]}
    return next((what for identifying, what in _SOURCES if identifying <= columns), "")

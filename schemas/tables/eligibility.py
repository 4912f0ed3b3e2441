"""Which rows of the guide map and the sequence map may be fitted, and why others may not.

Used by validation and by `model.screen.selection`. Each row is judged by itself, before the join.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

INCLUDED = ""
FITTED_SCREEN_TYPE = "2DS"
"""Two-dimensional culture in standard medium: the only screen type that is fitted."""
NO_GENE = "no gene"


def first_reason(index: pd.Index, reasons: Mapping[str, object]) -> pd.Series:
    """Return, for each label, the first reason whose mask is true, else `INCLUDED`."""
    masks = [np.asarray(mask, dtype=bool) for mask in reasons.values()]
    return pd.Series(np.select(masks, list(reasons), INCLUDED), index, dtype=object)


def guide_reasons(guide_map: pd.DataFrame) -> pd.Series:
    """Return why each row of the guide map may not be fitted, `INCLUDED` where it may."""
    return first_reason(
        guide_map.index,
        {
            "not used by the release": ~guide_map["used"],
            "alignments other than one": guide_map["n_alignments"].ne(1).fillna(True),
            NO_GENE: guide_map["gene"].isna(),
        },
    )


def sequence_reasons(sequence_map: pd.DataFrame, library: str) -> pd.Series:
    """Return why each row of the sequence map may not be fitted, `INCLUDED` where it may."""
    return first_reason(
        sequence_map.index,
        {
            f"library other than {library}": sequence_map["library"] != library,
            f"screen type other than {FITTED_SCREEN_TYPE}": (
                sequence_map["screen_type"] != FITTED_SCREEN_TYPE
            ),
            "failed quality control": ~sequence_map["passes_qc"].eq(True),
            "excluded by the release": sequence_map["excluded"].eq(True),
            "no cell line": sequence_map["cell_line"].isna(),
        },
    )


def usable_guides(guide_map: pd.DataFrame) -> pd.Series:
    """Return which rows of the guide map may be fitted."""
    return guide_reasons(guide_map) == INCLUDED


def usable_sequences(sequence_map: pd.DataFrame, library: str) -> pd.Series:
    """Return which rows of the sequence map may be fitted."""
    return sequence_reasons(sequence_map, library) == INCLUDED

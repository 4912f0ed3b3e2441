"""Which rows of the guide map and the sequence map may be fitted, and why not the others.

Said once, for the rules of validation and for the selection in `model`. Only about rows by
themselves; what the join with other tables leaves is for `schemas.coverage_rules` and
`model.selection`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

KEPT = ""
FITTED_SCREEN_TYPE = "2DS"
"""Two-dimensional cultures, standard medium: the only type fitted."""
NO_GENE = "no gene"


def first_reason(index: pd.Index, reasons: Mapping[str, object]) -> pd.Series:
    """Return, for each label, the first reason whose mask holds, else `KEPT`."""
    masks = [np.asarray(mask, dtype=bool) for mask in reasons.values()]
    return pd.Series(np.select(masks, list(reasons), KEPT), index, dtype=object)


def guide_reasons(guide_map: pd.DataFrame) -> pd.Series:
    """Return why each row of the guide map may not be fitted, `KEPT` where it may."""
    return first_reason(
        guide_map.index,
        {
            "not used by the release": ~guide_map["used"],
            "alignments other than one": guide_map["n_alignments"].ne(1).fillna(True),
            NO_GENE: guide_map["gene"].isna(),
        },
    )


def sequence_reasons(sequence_map: pd.DataFrame, library: str) -> pd.Series:
    """Return why each row of the sequence map may not be fitted, `KEPT` where it may."""
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
    return guide_reasons(guide_map) == KEPT


def usable_sequences(sequence_map: pd.DataFrame, library: str) -> pd.Series:
    """Return which rows of the sequence map may be fitted."""
    return sequence_reasons(sequence_map, library) == KEPT

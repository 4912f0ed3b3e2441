"""Which rows may be fitted: of several reasons against one, the first is given."""

from __future__ import annotations

import pandas as pd
import pytest

from schemas.usable import (
    KEPT,
    guide_reasons,
    sequence_reasons,
    usable_guides,
    usable_sequences,
)

GUIDE = {"used": True, "n_alignments": 1, "gene": "A (1)"}
SEQUENCE = {
    "library": "Avana",
    "screen_type": "2DS",
    "passes_qc": True,
    "excluded": False,
    "cell_line": "ACH-000001",
}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, KEPT),
        ({"used": False, "n_alignments": 2, "gene": None}, "not used by the release"),
        ({"n_alignments": 2, "gene": None}, "alignments other than one"),
        ({"n_alignments": pd.NA}, "alignments other than one"),
        ({"gene": None}, "no gene"),
    ],
)
def test_why_a_guide_is_not_fitted(values: dict[str, object], reason: str):
    guide = pd.DataFrame([GUIDE | values], index=[7]).astype({"n_alignments": "Int64"})
    assert guide_reasons(guide).to_dict() == {7: reason}
    assert usable_guides(guide).to_dict() == {7: reason == KEPT}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, KEPT),
        ({"library": "KY", "screen_type": "3DO"}, "library other than Avana"),
        ({"screen_type": "3DO", "passes_qc": False}, "screen type other than 2DS"),
        ({"passes_qc": False, "excluded": True}, "failed quality control"),
        ({"passes_qc": None}, "failed quality control"),
        ({"excluded": True, "cell_line": None}, "excluded by the release"),
        ({"excluded": None}, KEPT),
        ({"cell_line": None}, "no cell line"),
    ],
)
def test_why_a_sequence_is_not_fitted(values: dict[str, object], reason: str):
    sequence = pd.DataFrame([SEQUENCE | values], index=[7])
    assert sequence_reasons(sequence, "Avana").to_dict() == {7: reason}
    assert usable_sequences(sequence, "Avana").to_dict() == {7: reason == KEPT}

"""Which rows may be fitted: of several reasons against one, the first is given."""

import pandas as pd

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


def test_the_first_reason_why_a_guide_is_not_fitted():
    cases: list[tuple[dict[str, object], str]] = [
        ({}, KEPT),
        ({"used": False, "n_alignments": 2, "gene": None}, "not used by the release"),
        ({"n_alignments": 2, "gene": None}, "alignments other than one"),
        ({"n_alignments": pd.NA}, "alignments other than one"),
        ({"gene": None}, "no gene"),
    ]
    guides = pd.DataFrame([GUIDE | values for values, _ in cases], index=[7, 5, 3, 2, 9])
    guides = guides.astype({"n_alignments": "Int64"})
    reasons = [reason for _, reason in cases]
    assert guide_reasons(guides).to_dict() == dict(zip(guides.index, reasons, strict=True))
    assert usable_guides(guides).tolist() == [reason == KEPT for reason in reasons]


def test_the_first_reason_why_a_sequence_is_not_fitted():
    cases: list[tuple[dict[str, object], str]] = [
        ({}, KEPT),
        ({"library": "KY", "screen_type": "3DO"}, "library other than Avana"),
        ({"screen_type": "3DO", "passes_qc": False}, "screen type other than 2DS"),
        ({"passes_qc": False, "excluded": True}, "failed quality control"),
        ({"passes_qc": None}, "failed quality control"),
        ({"excluded": True, "cell_line": None}, "excluded by the release"),
        ({"excluded": None}, KEPT),
        ({"cell_line": None}, "no cell line"),
    ]
    sequences = pd.DataFrame([SEQUENCE | values for values, _ in cases])
    reasons = [reason for _, reason in cases]
    assert sequence_reasons(sequences, "Avana").tolist() == reasons
    assert usable_sequences(sequences, "Avana").tolist() == [one == KEPT for one in reasons]

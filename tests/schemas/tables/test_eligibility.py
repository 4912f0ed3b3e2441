"""Which rows may be fitted: of several reasons against one, the first is given."""

import pandas as pd

from schemas.tables.eligibility import (
    INCLUDED,
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


def test_the_first_reason_why_a_guide_or_a_sequence_is_not_fitted():
    guides: dict[str, list[dict[str, object]]] = {
        INCLUDED: [{}],
        "not used by the release": [{"used": False, "n_alignments": 2, "gene": None}],
        "alignments other than one": [{"n_alignments": 2, "gene": None}, {"n_alignments": pd.NA}],
        "no gene": [{"gene": None}],
    }
    sequences: dict[str, list[dict[str, object]]] = {
        INCLUDED: [{}, {"excluded": None}],
        "library other than Avana": [{"library": "KY", "screen_type": "3DO"}],
        "screen type other than 2DS": [{"screen_type": "3DO", "passes_qc": False}],
        "failed quality control": [{"passes_qc": False, "excluded": True}, {"passes_qc": None}],
        "excluded by the release": [{"excluded": True, "cell_line": None}],
        "no cell line": [{"cell_line": None}],
    }
    for usual, cases, reasons_of, usable in (
        (GUIDE, guides, guide_reasons, usable_guides),
        (SEQUENCE, sequences, lambda rows: sequence_reasons(rows, "Avana"),
         lambda rows: usable_sequences(rows, "Avana")),
    ):  # fmt: skip
        expected = [reason for reason, rows in cases.items() for _ in rows]
        rows = pd.DataFrame([usual | one for rows in cases.values() for one in rows])
        rows = rows.astype({"n_alignments": "Int64"} if usual is GUIDE else {})
        rows = rows.set_axis(range(len(rows) + 5, 5, -1))
        assert reasons_of(rows).to_dict() == dict(zip(rows.index, expected, strict=True))
        assert usable(rows).tolist() == [reason == INCLUDED for reason in expected]

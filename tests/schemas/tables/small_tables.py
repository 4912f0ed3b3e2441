"""Small tables in their types, all of them usable: the screen that rules across tables are given.

Two genes of two guides; three lines, the first in two sequences; RNA of a further line.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from schemas.tables.maps import CheckedTables

GUIDES = [f"ACGTACGTACGTACGT{last}" for last in ("AAAA", "AAAC", "AAAG", "AAAT")]
SEQUENCES = ["a1", "a2", "b1", "c1"]
LINES = ["ACH-000001", "ACH-000002", "ACH-000003"]
NOTHING = CheckedTables(None, None, None, None, None, (), (), (), ())


def tables() -> CheckedTables:
    return CheckedTables(
        guide_map=pd.DataFrame(
            {
                "guide": GUIDES,
                "gene": ["A (1)", "A (1)", "B (2)", "B (2)"],
                "n_alignments": pd.array([1, 1, 1, 1], dtype="Int64"),
                "used": True,
            }
        ),
        sequence_map=pd.DataFrame(
            {
                "sequence": [*SEQUENCES, "pool"],
                "cell_line": [LINES[0], *LINES, None],
                "screen_type": ["2DS"] * 4 + ["pDNA"],
                "library": "Avana",
                "passes_qc": True,
                "excluded": False,
            }
        ),
        profiles=pd.DataFrame({"cell_line": [*LINES[::-1], "ACH-000009"], "is_default": True}),
        rna=pd.DataFrame(np.arange(8.0).reshape(4, 2), columns=["B (2)", "A (1)"]),
        model_table=pd.DataFrame({"cell_line": LINES}),
        essential=("A (1)",),
        nonessential=("B (2)",),
        expression_addictions=(),
        findings=(),
    )


def changed(table: str, **columns: object) -> CheckedTables:
    sound = tables()
    return replace(sound, **{table: getattr(sound, table).assign(**columns)})


def with_rna_of(*cell_lines: str) -> CheckedTables:
    """The tables with RNA of these lines alone, and without a model table."""
    profiles = pd.DataFrame({"cell_line": cell_lines, "is_default": True})
    rna = pd.DataFrame(1.0, profiles.index, ["A (1)", "B (2)"])
    return replace(tables(), profiles=profiles, rna=rna, model_table=None)

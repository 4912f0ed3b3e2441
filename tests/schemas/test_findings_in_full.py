"""What a broken rule says in full: where, what was expected, what came, what to do.

The words stand in `findings_in_full.txt`, by case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.reports import Finding
from tests.schemas import test_coverage_rules as of_join
from tests.schemas import test_logfc_rules as logfc
from tests.schemas import test_rna_rules as rna
from tests.schemas import test_rules as across

TEXT = Path(__file__).with_name("findings_in_full.txt").read_text(encoding="utf-8")
SAID = {case: said for case, *said in (one.splitlines() for one in TEXT.split("\n\n"))}


def in_full(findings: list[Finding]) -> list[str]:
    return [
        f"  {one.severity} in {one.table}, {one.column or 'no column'}: {one.rule}, expected "
        f"{one.expected}; {one.count} are not: {'; '.join(one.found)}; to mend: {one.mend}"
        for one in findings
    ]


def rna_of(*genes: str) -> pd.DataFrame:
    return pd.DataFrame(1.0, index=range(3), columns=list(genes))


def covered(*lines_of_genes: range, guides: int = 4) -> list[Finding]:
    """Genes measured in these of twelve lines."""
    measured = np.array([[line in lines for line in range(12)] for lines in lines_of_genes])
    return of_join.covered(measured, [4] * (len(measured) - 1) + [guides])


ACROSS: dict[str, Callable[[], list[Finding]]] = {
    "a blank around a sequence": lambda: across.check(across.tables(), ["a1 ", "a2", "b1", "c1"]),
    "a sequence twice": lambda: across.check(across.tables(), ["a1", *across.SEQUENCES]),
    "a sequence of no map": lambda: across.check(across.tables(), [*across.SEQUENCES, "x", "x"]),
    "another library": lambda: across.check(across.changed("sequence_map", library="KY")),
    "no library": lambda: across.check(across.changed("sequence_map", library=None)),
    "no usable sequence": lambda: across.check(across.changed("sequence_map", passes_qc=False)),
    "no usable guide": lambda: across.check(across.changed("guide_map", used=False)),
    "a guide without gene": lambda: across.check(
        across.changed("guide_map", gene=["A (1)", None, "B (2)", "B (2)"])
    ),
    "a guide of two genes": lambda: across.check(
        across.changed("guide_map", guide=["g1", "g2", "g2", "g4"])
    ),
    "a guide twice": lambda: across.check(
        across.changed("guide_map", guide=["g1", "g1", "g3", "g4"])
    ),
    "controls of another library": lambda: across.check(
        replace(across.tables(), nonessential=("X (9)",), expression_addictions=("Y (8)",))
    ),
    "a gene without RNA": lambda: across.check(replace(across.tables(), rna=rna_of("A (1)", "C"))),
    "RNA of few genes, one of them not screened": lambda: across.check(
        replace(across.tables(), rna=rna_of("C"), essential=(), nonessential=())
    ),
    "a line without RNA": lambda: across.check(
        across.with_lines_of_rna("ACH-000001", "ACH-000002", "ACH-000009")
    ),
    "lines of another release": lambda: across.check(
        across.with_lines_of_rna("ACH-000008", "ACH-000009")
    ),
    "a line of no model": lambda: across.check(
        replace(across.tables(), model_table=pd.DataFrame({"cell_line": ["ACH-000001"]}))
    ),
    "one guide for a gene": lambda: covered(range(12), range(12), guides=1),
    "few lines for a gene": lambda: covered(range(12), range(4)),
    "no gene with enough lines": lambda: covered(range(4), range(4)),
    "two screens in one": lambda: covered(range(6), range(6, 11)),
    "genes in no line": lambda: covered(range(12), range(0), guides=1),
}


def spoilt(
    where: tuple[Any, ...], value: float, guides: list[str | None] | None = None
) -> list[Finding]:
    """Findings of a sound logFC table in which some cells have another value."""
    matrix = logfc.values()
    matrix[where] = value
    return logfc.run(guides or [*logfc.GUIDES], matrix, logfc.tables()).findings()


def guides(*changed: str | None) -> list[str | None]:
    """The guides of the sound table, the last of them changed."""
    return [*logfc.GUIDES[: -len(changed)], *changed]


def copied() -> list[Finding]:
    matrix = logfc.values()
    matrix[:, 2] = matrix[:, 0]
    return logfc.run([*logfc.GUIDES], matrix).findings()


NOTHING = (slice(0),)
OF_LOGFC: dict[str, Callable[[], list[Finding]]] = {
    "a guide of another form": lambda: spoilt(NOTHING, 0, guides("NNN")),
    "a guide without a label": lambda: spoilt(NOTHING, 0, guides(None)),
    "a guide twice in the table": lambda: spoilt(NOTHING, 0, guides(logfc.GUIDES[0])),
    "a guide of no map": lambda: spoilt(NOTHING, 0, guides("T" * 20)),
    "a table cut off": lambda: logfc.guides_kept(3, logfc.tables()),
    "a guide lost": lambda: logfc.guides_kept(3, logfc.tables(), min_guides_retained=0.75),
    "a value that is infinite": lambda: spoilt((2, 1), np.inf),
    "a value out of range": lambda: spoilt((2, 1), -15.1),
    "values missing": lambda: spoilt(([0, 3], [1, 0]), np.nan),
    "a guide without values": lambda: spoilt((3,), np.nan),
    "a sequence without values": lambda: spoilt((slice(None), 1), np.nan),
    "no essential gene with a value": lambda: spoilt(([0, 1],), np.nan),
    "controls the wrong way round": lambda: spoilt(([0, 1],), 1.0),
    "a sequence copied": copied,
    "no rows": lambda: logfc.run([], np.empty((0, 3))).findings(),
}


def of_values(where: tuple[Any, ...], value: float, units: str = "log2_tpm") -> list[Finding]:
    """Findings of an RNA table in which some cells have another value."""
    values = np.array([[-1.0, 0.5, 2.0], [1.0, -0.5, -2.0]])
    values = values if units == "z_score" else values + 2
    values[where] = value
    return rna.check(rna.rna(values), units)


def of_z_scores(*rows: list[float]) -> list[Finding]:
    return rna.check(rna.rna(np.array(rows)), "z_score")


def of_genes(*changed: str) -> list[Finding]:
    return rna.check(rna.rna(genes=[*changed, *rna.GENES[len(changed) :]]))


def of_defaults(*flags: str) -> list[Finding]:
    return rna.check(rna.rna(is_default=[*flags]))


OF_RNA: dict[str, Callable[[], list[Finding]]] = {
    "RNA that is infinite": lambda: of_values((1, 0), np.inf),
    "RNA below zero": lambda: of_values((1, 0), -0.1),
    "RNA that is high": lambda: of_values((1, 0), 20.1),
    "RNA that is linear": lambda: of_values((1, [0, 1]), 40.1),
    "RNA missing": lambda: of_values(([0, 1], [0, 1]), np.nan),
    "a gene without RNA values": lambda: of_values((slice(None), 1), np.nan),
    "a profile without RNA values": lambda: of_values((1,), np.nan),
    "a z-score out of range": lambda: of_values(([0, 1], [0, 0]), 10.1, "z_score"),
    "z-scores that are none": lambda: of_values((slice(None),), 0.5, "z_score"),
    "z-scores all above zero": lambda: of_z_scores([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]),
    "z-scores above and below zero": lambda: of_z_scores([-0.5, 2.0, 3.0], [0.5, 3.0, 4.0]),
    "z-scores off centre": lambda: of_values((slice(None), [0, 1]), -1.5, "z_score"),
    "no gene": lambda: rna.check(rna.rna(np.empty((2, 0)), genes=[])),
    "blanks around a gene": lambda: of_genes(" SOX10 (6663)"),
    "a gene that a spreadsheet would compute": lambda: of_genes("=SOX10 (6663)"),
    "a gene of another form": lambda: of_genes("SOX10"),
    "an Entrez number twice": lambda: of_genes("SOX10 (6663)", "DOM (6663)"),
    "a symbol twice": lambda: of_genes("SOX10 (6663)", "SOX10 (1)"),
    "no default profile": lambda: of_defaults("No", "No"),
    "no default profile of a line": lambda: of_defaults("Yes", "No"),
    "two default profiles of a line": lambda: rna.check(rna.rna(cell_lines=["ACH-000001"] * 2)),
}
EVERYTHING = ACROSS | OF_LOGFC | OF_RNA


@pytest.mark.parametrize(("name", "findings"), EVERYTHING.items())
def test_a_broken_rule_says_all(name: str, findings: Callable[[], list[Finding]]) -> None:
    assert in_full(findings()) == SAID[name]


def test_there_is_a_case_for_all_that_is_said() -> None:
    assert [*SAID] == [*EVERYTHING]

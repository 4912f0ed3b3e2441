"""A long table gives the same pieces as the tables of a release."""

from pathlib import Path

import numpy as np
import pandas as pd

from schemas.dataset import Dataset
from schemas.tables.containers import RawScreen
from tasks.reading.screen import read_screen

SIMULATED = (
    "gene,cell_line,rna,sgrna_idx,logfc\n"
    "G1,L1,0.5,0,1.0\nG1,L1,0.5,1,2.0\nG2,L1,-1,0,3.0\nG1,L2,0.25,0,4.0\nG2,L2,,0,\n"
)
INCONSTANT = SIMULATED.replace("G1,L1,0.5,1", "G1,L1,0.75,1")
MODELLING = (
    "sgrna,replicate_id,lfc,hugo_symbol,depmap_id,rna_expr\n"
    "ACGT,L1_A,1.0,G1,L1,0.5\nACGT,L1_B,2.0,G1,L1,0.5\nCCGT,L2_A,3.0,G2,L2,1.5\n"
)


def read(folder: Path, text: str, **more: str) -> RawScreen:
    (folder / "long.csv").write_text(text)
    given = {"name": "s", "release": "1", "library": "Lib", "logfc": str(folder / "long.csv")}
    return read_screen(Dataset.model_validate(given | more))


def wide(raw: RawScreen) -> str:
    """The line on which each guide begins, its label, and its values by sequence."""
    assert raw.logfc is not None
    blocks = list(raw.logfc.blocks())
    values = np.concatenate([block.values for block in blocks])
    labels = [(block.first_line, guide) for block in blocks for guide in block.guides]
    index = pd.MultiIndex.from_tuples(labels, names=["line", "guide"])
    return pd.DataFrame(values, index, list(raw.logfc.sequences)).to_csv()


def test_replicates_are_sequences_of_their_line(tmp_path: Path):
    raw = read(tmp_path, MODELLING)
    assert wide(raw) == "line,guide,L1_A,L1_B,L2_A\n2,ACGT,1.0,2.0,\n4,CCGT,,,3.0\n"
    assert raw.sequence_map is not None
    assert raw.sequence_map.frame["cell_line"].tolist() == ["L1", "L1", "L2"]
    numbered = MODELLING.replace("L1_A", "R1").replace("L1_B", "R2").replace("L2_A", "R1")
    assert wide(read(tmp_path, numbered)).startswith("line,guide,L1/R1,L1/R2,L2/R1\n")


def test_rna_that_differs_by_rounding_is_one_value_and_other_digits_are_shown(tmp_path: Path):
    assert read(tmp_path, SIMULATED.replace("0.5,1", "0.50004,1")).unreadable == ()
    (error,) = read(tmp_path, SIMULATED.replace("0.5,1", "0.5002,1")).unreadable[:1]
    assert error.rule == "rna_not_constant" and "0.5 on line 2 and 0.5002 on line 3" in str(error)


def test_rna_comes_from_its_own_table_or_is_asked_for(tmp_path: Path):
    (tmp_path / "rna.csv").write_text(",G1,G2\nL1,7,8\n")
    raw = read(tmp_path, INCONSTANT, rna=str(tmp_path / "rna.csv"))
    assert raw.unreadable == ()
    assert raw.rna is not None and raw.rna.values.to_numpy().tolist() == [[7, 8]]
    raw = read(tmp_path, "gene,cell_line,guide,logfc\nG,L1,A,1\nG,L1,A,2\nG,,B,1\nG,L2,B,1\n")
    assert [(error.table, error.rule) for error in raw.unreadable] == [
        ("logfc", "missing_label"), ("logfc", "duplicate_measurement"), ("rna", "missing_table"),
    ]  # fmt: skip

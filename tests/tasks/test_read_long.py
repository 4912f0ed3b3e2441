"""A long table gives the same pieces as the tables of a release."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from schemas.dataset import Dataset
from schemas.screen import RawScreen
from tasks.read_tables import read_screen

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
    return read_screen(
        Dataset(name="s", release="1", library="Lib", logfc=str(folder / "long.csv"), **more)
    )


def wide(raw: RawScreen) -> str:
    """The line on which each guide begins, its label, and its values by sequence."""
    assert raw.logfc is not None
    blocks = list(raw.logfc.blocks())
    values = np.concatenate([block.values for block in blocks])
    labels = [(block.first_line, guide) for block in blocks for guide in block.guides]
    index = pd.MultiIndex.from_tuples(labels, names=["line", "guide"])
    return pd.DataFrame(values, index, list(raw.logfc.sequences)).to_csv()


def test_the_layout_of_the_simulated_screen_is_read(tmp_path: Path):
    raw = read(tmp_path, SIMULATED)
    assert raw.unreadable == ()
    assert wide(raw) == "line,guide,L1,L2\n2,G1/0,1.0,4.0\n3,G1/1,2.0,\n4,G2/0,3.0,\n"
    assert raw.guide_map is not None and raw.sequence_map is not None and raw.rna is not None
    assert raw.guide_map.frame.to_csv() == (
        ",guide,gene,n_alignments,used\n2,G1/0,G1,1,True\n3,G1/1,G1,1,True\n4,G2/0,G2,1,True\n"
    )
    assert raw.sequence_map.frame.to_csv() == (
        ",sequence,cell_line,screen_type,library,passes_qc\n"
        "2,L1,L1,2DS,Lib,True\n5,L2,L2,2DS,Lib,True\n"
    )
    profiles = ",profile,cell_line,is_default\n2,L1,L1,Yes\n5,L2,L2,Yes\n"
    assert raw.rna.profiles.to_csv() == profiles
    assert raw.rna.values.to_csv() == ",G1,G2\n2,0.5,-1.0\n5,0.25,\n"


def test_replicates_are_sequences_of_their_line(tmp_path: Path):
    raw = read(tmp_path, MODELLING)
    assert wide(raw) == "line,guide,L1_A,L1_B,L2_A\n2,ACGT,1.0,2.0,\n4,CCGT,,,3.0\n"
    assert raw.sequence_map is not None
    assert raw.sequence_map.frame["cell_line"].tolist() == ["L1", "L1", "L2"]


def test_rna_comes_from_its_own_table_or_is_asked_for(tmp_path: Path):
    (tmp_path / "rna.csv").write_text(",G1,G2\nL1,7,8\n")
    raw = read(tmp_path, INCONSTANT, rna=str(tmp_path / "rna.csv"))
    assert raw.unreadable == ()
    assert raw.rna is not None and raw.rna.values.to_numpy().tolist() == [[7, 8]]
    raw = read(tmp_path, "gene,cell_line,guide,logfc\nG,L1,A,1\n")
    assert [(error.table, error.rule) for error in raw.unreadable] == [("rna", "missing_table")]


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        (INCONSTANT, "rna_not_constant",
         "gene G1 in cell line L1, got 0.5 on line 2 and 0.75 on line 3 (1 such rows)"),
        (SIMULATED + "G2,L1,-1,0,9\n", "duplicate_measurement", "G2/0, L1 on lines 4 and 7"),
        (SIMULATED.replace("-1,0", "low,0"), "not_a_number", "'low' on line 4, column 'rna'"),
        (SIMULATED.replace("0.5,1,", "0.5,,"), "missing_label", "a guide in every row"),
    ],
)  # fmt: skip
def test_a_wrong_long_table_is_refused(tmp_path: Path, text: str, rule: str, words: str):
    (error,) = read(tmp_path, text).unreadable
    assert error.rule == rule
    assert words in error.message

"""A long table gives the same pieces as the tables of a release."""

from __future__ import annotations

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
MODELLING = (
    "sgrna,replicate_id,lfc,hugo_symbol,depmap_id,rna_expr\n"
    "ACGT,L1_A,1.0,G1,L1,0.5\nACGT,L1_B,2.0,G1,L1,0.5\nCCGT,L2_A,3.0,G2,L2,1.5\n"
)


def read(folder: Path, text: str, **more: str) -> RawScreen:
    (folder / "long.csv").write_text(text)
    return read_screen(
        Dataset(name="s", release="1", library="Lib", logfc=str(folder / "long.csv"), **more)
    )


def wide(raw: RawScreen) -> dict[str, dict[str, float]]:
    """Log fold change by guide and sequence; -9 where it is missing."""
    assert raw.logfc is not None
    blocks = list(raw.logfc.blocks())
    values = np.concatenate([block.values for block in blocks])
    guides = np.concatenate([block.guides for block in blocks])
    return pd.DataFrame(values, guides, list(raw.logfc.sequences)).fillna(-9).T.to_dict()


def test_the_layout_of_the_simulated_screen_is_read(tmp_path: Path):
    raw = read(tmp_path, SIMULATED)
    assert raw.unreadable == ()
    assert wide(raw) == {
        "G1/0": {"L1": 1, "L2": 4}, "G1/1": {"L1": 2, "L2": -9}, "G2/0": {"L1": 3, "L2": -9}
    }  # fmt: skip
    assert raw.logfc is not None
    assert [block.first_line for block in raw.logfc.blocks()] == [2, 3, 4]
    assert raw.guide_map is not None and raw.sequence_map is not None and raw.rna is not None
    assert raw.guide_map.frame.reset_index().to_numpy().tolist() == [
        [2, "G1/0", "G1", "1", "True"], [3, "G1/1", "G1", "1", "True"],
        [4, "G2/0", "G2", "1", "True"],
    ]  # fmt: skip
    assert list(raw.guide_map.frame) == ["guide", "gene", "n_alignments", "used"]
    assert raw.sequence_map.frame.to_dict("index") == {
        line: {
            "sequence": name,
            "cell_line": name,
            "screen_type": "2DS",
            "library": "Lib",
            "passes_qc": "True",
        }
        for line, name in ((2, "L1"), (5, "L2"))
    }
    profile = {"profile": "L2", "cell_line": "L2", "is_default": "Yes"}
    assert raw.rna.profiles.loc[5].to_dict() == profile
    expected = pd.DataFrame([[0.5, -1], [0.25, np.nan]], index=[2, 5], columns=["G1", "G2"])
    pd.testing.assert_frame_equal(raw.rna.values, expected, check_names=False)
    tables = [table.source.table for table in (raw.guide_map, raw.sequence_map, raw.rna)]
    assert tables == ["guide_map", "sequence_map", "rna"]


@pytest.mark.parametrize(
    ("text", "values", "lines"),
    [
        (
            MODELLING,
            {
                "ACGT": {"L1_A": 1, "L1_B": 2, "L2_A": -9},
                "CCGT": {"L1_A": -9, "L1_B": -9, "L2_A": 3},
            },
            ["L1", "L1", "L2"],
        ),
        (
            "gene,cell_line,guide,replicate,rna,logfc\nG,L1,A,1,1,1\nG,L1,A,2,1,2\nG,L2,A,1,1,3\n",
            {"A": {"L1/1": 1, "L1/2": 2, "L2/1": 3}},
            ["L1", "L1", "L2"],
        ),
        (SIMULATED.split("\n")[0], {}, []),
    ],
)  # fmt: skip
def test_replicates_are_sequences(tmp_path: Path, text, values, lines):
    raw = read(tmp_path, text)
    assert raw.logfc is not None and raw.sequence_map is not None
    assert (wide(raw) if values else list(raw.logfc.blocks())) == (values or [])
    assert raw.sequence_map.frame["cell_line"].tolist() == lines


def test_rna_comes_from_its_own_table_or_is_asked_for(tmp_path: Path):
    (tmp_path / "rna.csv").write_text(",G1,G2\nL1,7,8\n")
    inconstant = SIMULATED.replace("G1,L1,0.5,1", "G1,L1,0.75,1")
    raw = read(tmp_path, inconstant, rna=str(tmp_path / "rna.csv"))
    assert raw.unreadable == ()
    assert raw.rna is not None and raw.rna.values.to_numpy().tolist() == [[7, 8]]
    raw = read(tmp_path, "gene,cell_line,guide,logfc\nG,L1,A,1\n")
    assert [(error.table, error.rule) for error in raw.unreadable] == [("rna", "missing_table")]


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        (
            SIMULATED.replace("G1,L1,0.5,1", "G1,L1,0.75,1"),
            "rna_not_constant",
            "gene G1 in cell line L1, got 0.5 on line 2 and 0.75 on line 3 (1 such rows)",
        ),
        (
            SIMULATED + "G2,L1,-1,0,9\n",
            "duplicate_measurement",
            "got G2, L1, G2/0, L1 on lines 4 and 7",
        ),
        (
            MODELLING + "ACGT,L1_A,1.0,G1,L1,0.5\n",
            "duplicate_measurement",
            "got G1, L1, ACGT, L1_A on lines 2 and 5",
        ),
        (SIMULATED.replace("3.0", "three"), "not_a_number", "'three' on line 4, column 'logfc'"),
        (SIMULATED.replace("-1,0", "low,0"), "not_a_number", "'low' on line 4, column 'rna'"),
        (SIMULATED.replace("G2,L2", ",L2"), "missing_label", "a gene in every row"),
        (SIMULATED.replace("0.5,1,", "0.5,,"), "missing_label", "a guide in every row"),
    ],
)
def test_a_wrong_long_table_is_refused(tmp_path: Path, text: str, rule: str, words: str):
    (error,) = read(tmp_path, text).unreadable
    assert error.rule == rule
    assert words in error.message

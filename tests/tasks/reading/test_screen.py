"""Tables come as they are in their files, in every layout and format, or are refused."""

from pathlib import Path

import pytest

from tasks.reading.screen import read_profiles, read_small_table

GUIDE_MAP = (
    "sgRNA,GenomeAlignment,Gene,nAlignments,UsedByChronos,DropReason\n"
    "ACGT,chr1_1_+,SOX10 (6663),1.0,True,\n"
    "CCGT,,,0,False,in_dropped_guides\n"
)
RNA = ",SOX10 (6663),MYB (4602)\nACH-000001,1.5,2\nACH-000002,,0.25\n"


def put(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return str(folder / name)


@pytest.mark.parametrize(
    ("table", "text", "columns", "rows"),
    [
        ("guide_map", GUIDE_MAP, ["guide", "gene", "n_alignments", "used"],
         {2: ["ACGT", "SOX10 (6663)", "1.0", "True"], 3: ["CCGT", "-", "0", "False"]}),
        ("sequence_map", "replicate_ID,DepMap_ID,passes_QC,colour\nA,ACH-000001,True,red\n",
         ["sequence", "cell_line", "passes_qc"], {2: ["A", "ACH-000001", "True"]}),
        ("essential", "\ufeffGene\r\nA (1)\r\n\r\nB (2)\r\n\r\n", ["gene"],
         {2: ["A (1)"], 4: ["B (2)"]}),
        ("model_table", 'ModelID,OncotreeLineage\nACH-000001,"a, ""b""\nc"\nACH-000002,d\n',
         ["cell_line", "lineage"], {2: ["ACH-000001", 'a, "b"\nc'], 4: ["ACH-000002", "d"]}),
        ("model_table", "ModelID,StrippedCellLineName,CellLineName,OncotreeLineage\nA,T47,T-47,x\n",
         ["cell_line", "lineage", "cell_line_name"], {2: ["A", "x", "T-47"]}),
        ("essential", "Gene\n", ["gene"], {}),
    ],
)  # fmt: skip
def test_a_small_table_keeps_known_columns_and_lines(tmp_path, table, text, columns, rows):
    frame = read_small_table(table, put(tmp_path, "t.csv", text)).frame
    assert list(frame) == columns
    assert dict(zip(frame.index, frame.fillna("-").to_numpy().tolist(), strict=True)) == rows


def test_rna_of_several_profiles_keeps_its_flags_as_text(tmp_path: Path):
    text = (
        ",SequencingID,ModelConditionID,ModelID,IsDefaultEntryForMC,IsDefaultEntryForModel,"
        "SOX10 (6663),SOX10 (6663)\n0,CDS-1,MC-1,ACH-000001,Yes,No,1,2\n"
    )
    raw = read_profiles("rna", put(tmp_path, "r.csv", text))
    assert raw.source.layout == "several_profiles"
    profile = {"profile": "CDS-1", "cell_line": "ACH-000001", "is_default": "No"}
    assert raw.profiles.loc[2].to_dict() == profile
    assert list(raw.values) == ["SOX10 (6663)"] * 2
    assert raw.values.to_numpy().tolist() == [[1, 2]]
    empty = read_profiles("rna", put(tmp_path, "r.csv", RNA.split("\n")[0]))
    assert (empty.values.shape, len(empty.profiles)) == ((0, 2), 0)

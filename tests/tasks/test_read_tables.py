"""Tables come as they are in their files, in every layout and format, or are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from schemas.dataset import Dataset
from schemas.screen import TableFormatError, TableName
from tasks.read_tables import read_rna, read_screen, read_small_table
from tests.property.releases import save

GUIDE_MAP = (
    "sgRNA,GenomeAlignment,Gene,nAlignments,UsedByChronos,DropReason\n"
    "ACGT,chr1_1_+,SOX10 (6663),1.0,True,\n"
    "CCGT,,,0,False,in_dropped_guides\n"
)
RNA = ",SOX10 (6663),MYB (4602)\nACH-000001,1.5,2\nACH-000002,,0.25\n"
SEQUENCE_MAP = (
    "SequenceID,ModelID,ScreenType,Library,PassesQC\nA1,ACH-000001,2DS,Avana,True\n"
    "B1,ACH-000002,2DS,Avana,True\n"
)
LOGFC = ",A1,B1\nACGT,-1,0.5\nCCGT,,2\n"


def put(folder: Path, name: str, text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(folder / name)


def dataset(folder: Path, **tables: str) -> Dataset:
    standard = {"logfc": LOGFC, "guide_map": GUIDE_MAP, "sequence_map": SEQUENCE_MAP, "rna": RNA}
    places = {
        name: put(folder, f"{name}.csv", text) for name, text in (standard | tables).items() if text
    }
    return Dataset(name="s", release="1", library="Avana", **places)


@pytest.mark.parametrize(
    ("table", "text", "columns", "rows"),
    [
        ("guide_map", GUIDE_MAP, ["guide", "gene", "n_alignments", "used"],
         {2: ["ACGT", "SOX10 (6663)", "1.0", "True"], 3: ["CCGT", "-", "0", "False"]}),
        ("sequence_map", "replicate_ID,DepMap_ID,passes_QC,colour\nA,ACH-000001,True,red\n",
         ["sequence", "cell_line", "passes_qc"], {2: ["A", "ACH-000001", "True"]}),
        ("essential", "\ufeffGene\r\nA (1)\r\n\r\nB (2)\r\n\r\n", ["gene"],
         {2: ["A (1)"], 4: ["B (2)"]}),
        ("model_table", 'ModelID,OncotreeLineage\nACH-000001,"a, ""b""\nc"\n',
         ["cell_line", "lineage"], {2: ["ACH-000001", 'a, "b"\nc']}),
        ("essential", "Gene\n", ["gene"], {}),
    ],
)  # fmt: skip
def test_a_small_table_keeps_known_columns_and_lines(
    tmp_path: Path, table: TableName, text: str, columns: list[str], rows: dict[int, list[str]]
):
    frame = read_small_table(table, put(tmp_path, "t.csv", text)).frame
    assert list(frame) == columns
    assert dict(zip(frame.index, frame.fillna("-").to_numpy().tolist(), strict=True)) == rows


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".hdf5"])
def test_rna_of_one_profile_a_line_is_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"x{suffix}"
    save(pd.read_csv(put(tmp_path, "r.csv", RNA), index_col=0), path, index=True)
    raw = read_rna(str(path))
    lines = ["ACH-000001", "ACH-000002"]
    profiles = pd.DataFrame({"cell_line": lines, "profile": lines, "is_default": "Yes"}, [2, 3])
    pd.testing.assert_frame_equal(raw.profiles, profiles, check_dtype=False)
    values = [[1.5, 2.0], [np.nan, 0.25]]
    expected = pd.DataFrame(values, [2, 3], ["SOX10 (6663)", "MYB (4602)"])
    pd.testing.assert_frame_equal(raw.values, expected)


def test_rna_of_several_profiles_keeps_its_flags_as_text(tmp_path: Path):
    text = (
        ",SequencingID,ModelConditionID,ModelID,IsDefaultEntryForMC,IsDefaultEntryForModel,"
        "SOX10 (6663),SOX10 (6663)\n0,CDS-1,MC-1,ACH-000001,Yes,No,1,2\n"
    )
    raw = read_rna(put(tmp_path, "r.csv", text))
    assert raw.source.layout == "several_profiles"
    profile = {"profile": "CDS-1", "cell_line": "ACH-000001", "is_default": "No"}
    assert raw.profiles.loc[2].to_dict() == profile
    assert list(raw.values) == ["SOX10 (6663)"] * 2
    assert raw.values.to_numpy().tolist() == [[1, 2]]
    empty = read_rna(put(tmp_path, "r.csv", RNA.split("\n")[0]))
    assert (empty.values.shape, len(empty.profiles)) == ((0, 2), 0)


TEXT = pd.DataFrame({"A (1)": ["1", "x"]}, ["ACH-000001", "ACH-000002"])
PACKED = gzip.compress(GUIDE_MAP.encode())


@pytest.mark.parametrize(
    ("table", "name", "content", "rule", "words"),
    [
        ("rna", "r.csv", RNA.replace("0.25", "high"), "not_a_number", "'high' on line 3, column "),
        ("rna", "r.csv", RNA.replace("2\n", "2_0\n"), "not_a_number", "'2_0' on line 2"),
        ("rna", "r.csv", "\n".join(["", *RNA.split("\n")]), "unknown_layout", "(unnamed)"),
        ("rna", "r.csv", RNA[:-6], "truncated", "the last line 3 has 2 of 3 columns"),
        ("rna", "r.csv", RNA.replace(",2\n", ",2,3\n"), "uneven_rows", "line 2 has 4 of 3"),
        ("rna", "r.csv", "<html>\n", "html_page", "got a web page"),
        ("rna", "r.csv", b"", "empty_file", "the file is empty"),
        ("rna", "r.csv", RNA.replace(",", "\t"), "wrong_delimiter", "tabs"),
        ("rna", "r.xlsx", b"PK", "unknown_suffix", ".parquet"),
        ("rna", "r.parquet", b"PAR1 cut", "damaged_file", "fetch the file again"),
        ("rna", "r.hdf5", b"\x89HDF\r\n\x1a\n", "damaged_file", "fetch the file again"),
        ("guide_map", "g.csv", GUIDE_MAP[:-24], "truncated", "the last line 3 has 5 of 6"),
        ("guide_map", "g.csv", GUIDE_MAP.replace("SOX", "é").encode("latin-1"), "not_utf8", ""),
        ("guide_map", "g.csv", GUIDE_MAP.replace("chr1", '"chr1'), "uneven_rows", "line 3 has 2"),
        ("guide_map", "g.csv", PACKED[:-9], "truncated", "the compressed file ends early"),
        ("guide_map", "g.csv", PACKED[:-8] + b"12345678", "damaged_file", "fetch the file again"),
        ("rna", "r.parquet", TEXT.to_parquet(), "not_a_number", "'x' on line 3, column 'A (1)'"),
    ],
)
def test_a_damaged_file_is_refused_with_its_rule_and_place(
    tmp_path: Path, table: TableName, name: str, content: str | bytes, rule: str, words: str
):
    location = put(tmp_path, name, content)
    with pytest.raises(TableFormatError) as caught:
        read_rna(location) if table == "rna" else read_small_table(table, location)
    assert caught.value.rule == rule
    assert words in str(caught.value)


def test_a_list_in_hdf5_is_refused(tmp_path: Path):
    with h5py.File(tmp_path / "e.hdf5", "w") as file:
        file["data"], file["dim_0"] = np.zeros((2, 1)), np.array([b"MYB", b"SOX10"])
        file["dim_1"] = np.array([b"Gene"])
    with pytest.raises(TableFormatError, match="got a table of texts in HDF5; give it as CSV"):
        read_small_table("essential", str(tmp_path / "e.hdf5"))


@pytest.mark.parametrize(
    ("tables", "rules"),
    [
        (
            {"logfc": "<html>", "guide_map": "a,b\n", "rna": RNA[:-6]},
            {"logfc": "html_page", "guide_map": "unknown_layout", "rna": "truncated"},
        ),
        ({"guide_map": "", "rna": ""}, {"guide_map": "missing_table", "rna": "missing_table"}),
    ],
)
def test_all_unreadable_and_missing_tables_are_reported(tmp_path: Path, tables, rules):
    given = dataset(tmp_path, **tables)
    raw = read_screen(given.model_copy(update={"model_table": str(tmp_path / "none.csv")}))
    found = {error.table: error.rule for error in raw.unreadable}
    assert found == rules | {"model_table": "missing_file"}
    assert raw.sequence_map is not None

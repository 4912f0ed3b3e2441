"""Tables come out as they stand in their files, in any layout and format; bad files are told."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from schemas.dataset import Controls, Dataset
from schemas.screen import RawScreen, TableFormatError, TableName
from tasks.read_tables import read_rna, read_screen, read_small_table

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


def refusal(table: TableName, location: str) -> TableFormatError:
    with pytest.raises(TableFormatError) as caught:
        read_rna(location) if table == "rna" else read_small_table(table, location)
    return caught.value


def test_a_small_table_is_text_under_canonical_names_with_its_lines(tmp_path: Path):
    table = read_small_table("guide_map", put(tmp_path, "g.csv", GUIDE_MAP))
    assert table.frame.index.tolist() == [2, 3]
    assert list(table.frame) == ["guide", "gene", "n_alignments", "used"]
    assert table.frame.loc[2, "n_alignments"] == "1.0"
    assert list(table.frame.loc[3].isna()) == [False, True, False, False]
    assert table.source.layout == "current"


def test_columns_a_layout_does_not_have_are_absent_and_others_ignored(tmp_path: Path):
    text = "replicate_ID,DepMap_ID,passes_QC,colour\nA,ACH-000001,True,red\n"
    table = read_small_table("sequence_map", put(tmp_path, "m.csv", text))
    assert list(table.frame) == ["sequence", "cell_line", "passes_qc"]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_formats_of_a_small_table_agree(tmp_path: Path, suffix: str):
    location = put(tmp_path, "g.csv", GUIDE_MAP)
    expected = read_small_table("guide_map", location).frame
    if suffix == "parquet":
        pd.read_csv(location, dtype=str).to_parquet(tmp_path / "x.parquet")
    else:
        put(tmp_path, f"x.{suffix}", GUIDE_MAP)
    came = read_small_table("guide_map", str(tmp_path / f"x.{suffix}")).frame
    pd.testing.assert_frame_equal(came, expected)


def test_lines_are_counted_over_empty_lines_and_windows_endings(tmp_path: Path):
    text = "\ufeffGene\r\nA (1)\r\n\r\nB (2)\r\n\r\n"
    frame = read_small_table("essential", put(tmp_path, "e.csv", text)).frame
    assert dict(frame["gene"]) == {2: "A (1)", 4: "B (2)"}


def test_quoted_values_may_hold_commas_and_line_breaks(tmp_path: Path):
    text = 'ModelID,OncotreeLineage\nACH-000001,"a, ""b""\nc"\n'
    frame = read_small_table("model_table", put(tmp_path, "m.csv", text)).frame
    assert frame.loc[2].to_dict() == {"cell_line": "ACH-000001", "lineage": 'a, "b"\nc'}


def test_a_table_of_a_header_alone_is_empty(tmp_path: Path):
    assert len(read_small_table("essential", put(tmp_path, "e.csv", "Gene\n")).frame) == 0
    raw = read_rna(put(tmp_path, "r.csv", RNA.split("\n")[0]))
    assert raw.values.shape == (0, 2)
    assert len(raw.profiles) == 0


def test_rna_of_one_profile_a_line(tmp_path: Path):
    raw = read_rna(put(tmp_path, "r.csv", RNA))
    assert raw.profiles.loc[2].to_dict() == {
        "cell_line": "ACH-000001",
        "profile": "ACH-000001",
        "is_default": "Yes",
    }
    assert raw.values.index.tolist() == [2, 3]
    assert raw.values.columns.tolist() == ["SOX10 (6663)", "MYB (4602)"]
    np.testing.assert_array_equal(raw.values, [[1.5, 2], [np.nan, 0.25]])
    assert set(raw.values.dtypes) == {np.dtype(np.float64)}


def test_rna_of_several_profiles_keeps_its_flags_as_text(tmp_path: Path):
    text = (
        ",SequencingID,ModelConditionID,ModelID,IsDefaultEntryForMC,IsDefaultEntryForModel,"
        "SOX10 (6663),SOX10 (6663)\n0,CDS-1,MC-1,ACH-000001,Yes,No,1,2\n"
    )
    raw = read_rna(put(tmp_path, "r.csv", text))
    assert raw.source.layout == "several_profiles"
    assert raw.profiles.loc[2].to_dict() == {
        "profile": "CDS-1",
        "cell_line": "ACH-000001",
        "is_default": "No",
    }
    assert raw.values.columns.tolist() == ["SOX10 (6663)"] * 2
    assert raw.values.to_numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize("suffix", ["csv.gz", "parquet", "hdf5"])
def test_formats_of_rna_agree(tmp_path: Path, suffix: str):
    location = put(tmp_path, "r.csv", RNA)
    frame = pd.read_csv(location, index_col=0)
    if suffix == "parquet":
        frame.to_parquet(tmp_path / "x.parquet")
    elif suffix == "hdf5":
        with h5py.File(tmp_path / "x.hdf5", "w") as file:
            file["data"] = frame.to_numpy()
            file["dim_0"] = frame.index.to_numpy(dtype="S")
            file["dim_1"] = frame.columns.to_numpy(dtype="S")
    else:
        put(tmp_path, f"x.{suffix}", RNA)
    came, expected = read_rna(str(tmp_path / f"x.{suffix}")), read_rna(location)
    pd.testing.assert_frame_equal(came.values, expected.values)
    pd.testing.assert_frame_equal(came.profiles, expected.profiles)


def test_a_list_in_hdf5_is_refused(tmp_path: Path):
    with h5py.File(tmp_path / "e.hdf5", "w") as file:
        file["data"] = np.zeros((2, 1))
        file["dim_0"] = np.array([b"MYB (4602)", b"SOX10 (6663)"])
        file["dim_1"] = np.array([b"Gene"])
    with pytest.raises(
        TableFormatError, match="got a table of texts in HDF5; give it as CSV"
    ) as refused:
        read_small_table("essential", str(tmp_path / "e.hdf5"))
    assert refused.value.rule == "unknown_layout"


@pytest.mark.parametrize(
    ("table", "name", "content", "rule", "words"),
    [
        (
            "rna",
            "r.csv",
            RNA.replace("0.25", "high"),
            "not_a_number",
            "'high' on line 3, column 'MYB",
        ),
        ("rna", "r.csv", RNA.replace("2\n", "2_0\n"), "not_a_number", "'2_0' on line 2"),
        ("rna", "r.csv", "\n".join(["", *RNA.split("\n")]), "unknown_layout", "(unnamed)"),
        ("rna", "r.csv", RNA[:-6], "truncated", "the last line 3 has 2 of 3 columns"),
        ("rna", "r.csv", RNA[:-8], "truncated", "the last line 3 has 1 of 3 columns"),
        ("rna", "r.csv", RNA.replace(",2\n", "\n"), "uneven_rows", "line 2 has 2 of 3 columns"),
        ("rna", "r.csv", RNA.replace(",2\n", ",2,3\n"), "uneven_rows", "line 2 has 4 of 3"),
        ("rna", "r.csv", RNA + "1,2,3,4\n", "uneven_rows", "line 4 has 4 of 3"),
        ("rna", "r.csv", "<html>\n", "html_page", "got a web page"),
        ("rna", "r.csv", b"", "empty_file", "the file is empty"),
        ("rna", "r.csv", RNA.replace(",", "\t"), "wrong_delimiter", "tabs"),
        ("rna", "r.xlsx", b"PK", "unknown_suffix", ".parquet"),
        ("rna", "r.parquet", b"PAR1 cut", "damaged_file", "fetch the file again"),
        ("rna", "r.hdf5", b"\x89HDF\r\n\x1a\n", "damaged_file", "fetch the file again"),
        ("guide_map", "g.csv", GUIDE_MAP[:-24], "truncated", "the last line 3 has 5 of 6"),
        (
            "guide_map",
            "g.csv",
            GUIDE_MAP.replace("SOX10", "é").encode("latin-1"),
            "not_utf8",
            "",
        ),
        ("guide_map", "g.csv", GUIDE_MAP.replace("chr1", '"chr1'), "uneven_rows", "line 3 has 2"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    tmp_path: Path, table: TableName, name: str, content: str | bytes, rule: str, words: str
):
    error = refusal(table, put(tmp_path, name, content))
    assert error.rule == rule
    assert words in str(error)


def test_a_compressed_file_cut_off_is_truncated(tmp_path: Path):
    content = gzip.compress(GUIDE_MAP.encode())
    for length in (12, len(content) - 9):
        (tmp_path / "g.csv.gz").write_bytes(content[:length])
        assert refusal("guide_map", str(tmp_path / "g.csv.gz")).rule == "truncated"
    (tmp_path / "g.csv.gz").write_bytes(content[:-8] + b"12345678")
    assert refusal("guide_map", str(tmp_path / "g.csv.gz")).rule == "damaged_file"


def test_a_file_is_unpacked_by_what_it_is(tmp_path: Path):
    (tmp_path / "g.csv.gz").write_text(GUIDE_MAP)
    (tmp_path / "g.csv").write_bytes(gzip.compress(GUIDE_MAP.encode()))
    for name in ("g.csv.gz", "g.csv"):
        assert len(read_small_table("guide_map", str(tmp_path / name)).frame) == 2


def test_text_in_a_parquet_number_column_is_told(tmp_path: Path):
    frame = pd.DataFrame({"A (1)": ["1", "x"]}, index=["ACH-000001", "ACH-000002"])
    frame.to_parquet(tmp_path / "r.parquet")
    error = refusal("rna", str(tmp_path / "r.parquet"))
    assert error.rule == "not_a_number"
    assert "'x' on line 3, column 'A (1)'" in error.message


# --------------------------------------------------------------------------------- a whole dataset


def rules(raw: RawScreen) -> dict[str, str]:
    return {error.table: error.rule for error in raw.unreadable}


def test_a_dataset_is_read_whole(tmp_path: Path):
    given = dataset(tmp_path)
    controls = Controls(essential=put(tmp_path, "e.csv", "Gene\nMYB (4602)\n"))
    raw = read_screen(given.model_copy(update={"controls": controls}))
    assert raw.unreadable == ()
    assert raw.logfc is not None and raw.logfc.sequences == ("A1", "B1")
    assert raw.guide_map is not None and raw.sequence_map is not None and raw.rna is not None
    assert raw.essential is not None and raw.nonessential is None and raw.model_table is None


def test_all_unreadable_tables_are_collected(tmp_path: Path):
    given = dataset(tmp_path, logfc="<html>", guide_map="a,b\n", rna=RNA[:-6])
    raw = read_screen(given.model_copy(update={"model_table": str(tmp_path / "none.csv")}))
    assert rules(raw) == {
        "logfc": "html_page",
        "guide_map": "unknown_layout",
        "rna": "truncated",
        "model_table": "missing_file",
    }
    assert raw.sequence_map is not None


def test_tables_a_wide_table_needs_are_asked_for(tmp_path: Path):
    raw = read_screen(dataset(tmp_path, guide_map="", rna=""))
    assert rules(raw) == {"guide_map": "missing_table", "rna": "missing_table"}


def test_the_real_sample_is_read(avana: Dataset):
    raw = read_screen(avana)
    assert raw.unreadable == ()
    assert raw.guide_map is not None and len(raw.guide_map.frame) == 3474
    assert raw.sequence_map is not None and len(raw.sequence_map.frame) == 95
    assert raw.rna is not None and raw.rna.values.shape == (55, 106)
    assert raw.logfc is not None and len(raw.logfc.sequences) == 92

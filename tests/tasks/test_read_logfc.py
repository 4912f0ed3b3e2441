"""The wide logFC table streams in blocks, the same from every format, with the right lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from schemas.layouts import recognise
from schemas.screen import LogfcSource, TableFormatError
from tasks import hdf5_tables, table_files
from tasks.read_logfc import WideLogfc
from tasks.storage import StorageError, StoredFile
from tasks.table_files import open_table


def wide(location: Path) -> LogfcSource:
    file = open_table("logfc", str(location))
    return WideLogfc(file, recognise("logfc", str(location), file.columns))


def table(n_guides: int = 300, n_sequences: int = 7) -> pd.DataFrame:
    random = np.random.default_rng(5)
    values = random.normal(size=(n_guides, n_sequences)).round(6)
    values[random.random(values.shape) < 0.05] = np.nan
    values[3] = np.nan
    guides = ["".join(random.choice(list("ACGT"), 20)) for _ in range(n_guides)]
    return pd.DataFrame(values, guides, [f"S.{i} a_b" for i in range(n_sequences)])


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(table_files, "CSV_BLOCK_BYTES", 1000)
    for module in (table_files, hdf5_tables):
        monkeypatch.setattr(module, "CELLS_PER_BLOCK", 100)


def save(frame: pd.DataFrame, file: Path) -> None:
    if file.suffix == ".parquet":
        frame.to_parquet(file, row_group_size=64)
    elif file.suffix == ".hdf5":
        with h5py.File(file, "w") as stored:
            stored["data"] = frame.to_numpy()
            stored["dim_0"] = frame.index.to_numpy(dtype="S")
            stored["dim_1"] = frame.columns.to_numpy(dtype="S")
    else:
        frame.to_csv(file)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet", "x.hdf5"])
def test_blocks_put_together_are_the_table(tmp_path: Path, name: str):
    frame = table()
    save(frame, tmp_path / name)
    logfc = wide(tmp_path / name)
    assert logfc.sequences == tuple(frame.columns)
    for _ in range(2):  # as often as needed
        blocks = list(logfc.blocks())
        assert len(blocks) > 5
        starts = np.cumsum([2] + [len(block.guides) for block in blocks])
        assert [block.first_line for block in blocks] == starts[:-1].tolist()
        assert np.concatenate([block.guides for block in blocks]).tolist() == list(frame.index)
        values = np.concatenate([block.values for block in blocks])
        np.testing.assert_array_equal(values, frame.to_numpy())


@pytest.mark.usefixtures("small_blocks")
def test_a_cell_that_is_no_number_is_told_with_line_column_and_value(tmp_path: Path):
    frame = table().astype(object)
    frame.iloc[250, 4] = "#REF!"
    frame.to_csv(tmp_path / "x.csv")
    with pytest.raises(TableFormatError) as caught:
        list(wide(tmp_path / "x.csv").blocks())
    assert caught.value.rule == "not_a_number"
    assert "'#REF!' on line 252, column 'S.4 a_b'" in caught.value.message


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("end", [",1.5,2", "", "\n"])
def test_a_table_cut_off_in_its_last_row_is_truncated(tmp_path: Path, end: str):
    table().to_csv(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open("a") as file:
        file.write("ACGTACGTACGTACGTACGT" + end)
    with pytest.raises(TableFormatError, match="the last line 302 has") as caught:
        list(wide(tmp_path / "x.csv").blocks())
    assert caught.value.rule == "truncated"


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_a_table_cut_off_in_its_last_number_is_truncated(tmp_path: Path, name: str):
    table(4).fillna(1.25).to_csv(tmp_path / "whole.csv")
    content = (tmp_path / "whole.csv").read_bytes()
    for n_lost in (1, 4):
        cut = content[:-n_lost]
        (tmp_path / name).write_bytes(gzip.compress(cut) if name.endswith(".gz") else cut)
        with pytest.raises(TableFormatError, match="does not end with a line break") as caught:
            list(wide(tmp_path / name).blocks())
        assert caught.value.rule == "truncated"
        assert "if it is whole, add a line break at its end" in caught.value.mend


@pytest.mark.usefixtures("small_blocks")
def test_empty_lines_are_skipped_and_counted(tmp_path: Path):
    table(40).to_csv(tmp_path / "x.csv")
    lines = (tmp_path / "x.csv").read_text().splitlines()
    lines.insert(20, "")
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n\n\n")
    lines_of = {
        guide: block.first_line + row
        for block in wide(tmp_path / "x.csv").blocks()
        for row, guide in enumerate(block.guides)
    }
    assert list(lines_of.values()) == [*range(2, 21), *range(22, 43)]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet", "x.hdf5"])
def test_storage_that_fails_on_the_way_is_no_fault_of_the_table(
    tmp_path: Path, monkeypatch, name: str
):
    save(table(), tmp_path / name)
    logfc = wide(tmp_path / name)
    failing = StoredFile(str(tmp_path / name)).open()

    class Lost:
        def readinto(self, buffer: object) -> int:
            raise OSError("connection lost")

        def seek(self, offset: int, whence: int) -> int:
            return 1000

        tell = close = lambda self: 1000

    monkeypatch.setattr(failing.raw, "_file", Lost())
    monkeypatch.setattr(StoredFile, "open", lambda self: failing)
    with pytest.raises(StorageError, match="connection lost"):
        list(logfc.blocks())


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.hdf5"])
def test_a_file_that_has_gone_since_is_missing(tmp_path: Path, name: str):
    save(table(), tmp_path / name)
    logfc = wide(tmp_path / name)
    (tmp_path / name).unlink()
    with pytest.raises(TableFormatError, match="there is none") as caught:
        list(logfc.blocks())
    assert caught.value.rule == "missing_file"


def test_missing_values_and_labels(tmp_path: Path):
    (tmp_path / "x.csv").write_text('Construct Barcode,A,A\nACGT,,NA\n"",NaN,-inf\n')
    logfc = wide(tmp_path / "x.csv")
    assert logfc.source.layout == "older"
    assert logfc.sequences == ("A", "A")
    (block,) = logfc.blocks()
    assert block.guides.tolist() == ["ACGT", None]
    np.testing.assert_array_equal(block.values, [[np.nan, np.nan], [np.nan, -np.inf]])


def test_a_table_of_a_header_alone_has_no_blocks(tmp_path: Path):
    (tmp_path / "x.csv").write_text(",A,B\n")
    assert list(wide(tmp_path / "x.csv").blocks()) == []


def test_hdf5_of_another_layout_is_refused(tmp_path: Path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["data"] = np.zeros((2, 3))
        file["dim_0"], file["dim_1"] = np.array([b"a", b"b"]), np.array([b"A", b"B"])
    with pytest.raises(TableFormatError, match=r"got data \(2, 3\), dim_0 \(2,\)") as caught:
        wide(tmp_path / "x.hdf5")
    assert caught.value.rule == "unknown_layout"

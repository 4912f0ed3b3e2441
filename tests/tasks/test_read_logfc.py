"""The wide logFC table comes in blocks, the same from every format, with the lines of the file."""

from __future__ import annotations

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
from tests.property.releases import MATRIX_SUFFIXES, save


def wide(location: Path) -> LogfcSource:
    file = open_table("logfc", str(location))
    return WideLogfc(file, recognise("logfc", str(location), file.columns))


def table() -> pd.DataFrame:
    random = np.random.default_rng(5)
    values = random.normal(size=(60, 7)).round(6)
    values[random.random(values.shape) < 0.05] = np.nan
    values[3] = np.nan
    guides = ["".join(random.choice(list("ACGT"), 20)) for _ in range(60)]
    return pd.DataFrame(values, guides, [f"S.{i} a_b" for i in range(7)])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(table_files, "CSV_BLOCK_BYTES", 1000)
    for module in (table_files, hdf5_tables):
        monkeypatch.setattr(module, "CELLS_PER_BLOCK", 100)


class Lost:
    def readinto(self, buffer: object) -> int:
        raise OSError("connection lost")

    def seek(self, offset: int, whence: int) -> int:
        return 1000

    tell = close = lambda self: 1000


@pytest.mark.parametrize("suffix", MATRIX_SUFFIXES)
def test_the_blocks_together_are_the_table(tmp_path: Path, monkeypatch, suffix: str):
    frame, path = table(), tmp_path / f"x{suffix}"
    save(frame, path, index=True)
    logfc = wide(path)
    assert logfc.sequences == tuple(frame.columns)
    for _ in range(2):  # as often as needed
        blocks = list(logfc.blocks())
        assert len(blocks) > 3
        starts = np.cumsum([2] + [len(block.guides) for block in blocks])
        assert [block.first_line for block in blocks] == starts[:-1].tolist()
        assert np.concatenate([block.guides for block in blocks]).tolist() == list(frame.index)
        np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), frame)
    # A storage that fails later is not an error of the table; a file that is missing is one.
    with monkeypatch.context() as patch:
        failing = StoredFile(str(path)).open()
        patch.setattr(failing.raw, "_file", Lost())
        patch.setattr(StoredFile, "open", lambda self: failing)
        with pytest.raises(StorageError, match="connection lost"):
            list(logfc.blocks())
    path.unlink()
    with pytest.raises(TableFormatError, match="there is none") as caught:
        list(logfc.blocks())
    assert caught.value.rule == "missing_file"


LAST = "ACGTACGTACGTACGTACGT"


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        (
            lambda text: text.replace(LAST + ",1,1", LAST + ",1,#REF!"),
            "not_a_number",
            "'#REF!' on line 62, column 'S.1 a_b'",
        ),
        (lambda text: text + "ACGT,1.5,2", "truncated", "the last line 63 has 3 of 8"),
        (lambda text: text + "ACGT", "truncated", "the last line 63 has 1 of 8"),
        (lambda text: text[:-1], "truncated", "does not end with a line break"),
    ],
)
def test_a_wrong_or_truncated_row_is_refused_with_its_line(tmp_path: Path, change, rule, words):
    (tmp_path / "x.csv").write_text(change(table().to_csv() + LAST + ",1" * 7 + "\n"))
    with pytest.raises(TableFormatError) as caught:
        list(wide(tmp_path / "x.csv").blocks())
    assert caught.value.rule == rule
    assert words in caught.value.message


def test_empty_lines_are_skipped_and_counted(tmp_path: Path):
    lines = table().to_csv().splitlines()
    lines.insert(20, "")
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n\n\n")
    blocks = wide(tmp_path / "x.csv").blocks()
    numbers = [block.first_line + row for block in blocks for row in range(len(block.guides))]
    assert numbers == [*range(2, 21), *range(22, 63)]


def test_labels_and_values_may_be_missing(tmp_path: Path):
    (tmp_path / "x.csv").write_text('Construct Barcode,A,A\nACGT,,NA\n"",NaN,-inf\n')
    logfc = wide(tmp_path / "x.csv")
    assert (logfc.source.layout, logfc.sequences) == ("older", ("A", "A"))
    (block,) = logfc.blocks()
    assert block.guides.tolist() == ["ACGT", None]
    np.testing.assert_array_equal(block.values, [[np.nan, np.nan], [np.nan, -np.inf]])


def test_hdf5_of_another_layout_is_refused(tmp_path: Path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["data"] = np.zeros((2, 3))
        file["dim_0"], file["dim_1"] = np.array([b"a", b"b"]), np.array([b"A", b"B"])
    with pytest.raises(TableFormatError, match=r"got data \(2, 3\), dim_0 \(2,\)"):
        wide(tmp_path / "x.hdf5")

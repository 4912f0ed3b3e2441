"""The wide logFC table comes in blocks, the same from every format, with the lines of the file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from schemas.layouts import recognise
from schemas.screen import LogfcSource, TableFormatError
from tasks import hdf5_tables, table_files
from tasks.read_logfc import WideLogfc
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


@pytest.mark.parametrize(
    ("end", "rule", "words"),
    [
        ("1,#REF!,1,1,1,1,1\n", "not_a_number", "'#REF!' on line 62, column 'S.1 a_b'"),
        ("1.5,2", "truncated", "the last line 62 has 3 of 8"),
    ],
)
def test_a_wrong_or_truncated_row_is_refused_with_its_line(tmp_path: Path, end, rule, words):
    (tmp_path / "x.csv").write_text(f"{table().to_csv()}ACGT,{end}")
    with pytest.raises(TableFormatError) as caught:
        list(wide(tmp_path / "x.csv").blocks())
    assert caught.value.rule == rule
    assert words in caught.value.message

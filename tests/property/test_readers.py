"""Tables come back as they were written: in every format, in blocks of any size, in any order."""

import csv
import gzip
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.screen.preparation import SufficientStatistics
from schemas.dataset import Dataset
from schemas.tables.containers import TableFormatError
from tasks.reading import hdf5 as hdf5_tables
from tasks.reading import table_file as table_files
from tasks.reading.csv import PARSERS, ParsedLines, parse_ahead
from tasks.reading.screen import read_small_table
from tasks.reading.table_file import open_table
from tasks.reading.validate import validate
from tests.property.releases import (
    LOOSE,
    MATRIX_SUFFIXES,
    TIMES,
    Release,
    examples,
    release,
    releases,
    save,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@contextmanager
def blocks_of(n_bytes: int, n_cells: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "CSV_BLOCK_BYTES", n_bytes)
        patch.setattr(table_files, "CELLS_PER_BLOCK", n_cells)
        patch.setattr(hdf5_tables, "CELLS_PER_BLOCK", n_cells)
        yield


labels = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=6
).filter(lambda text: text == text.strip() and text not in ("NA", "NaN", "nan"))
numbers = st.lists(st.floats(width=64) | st.just(float("nan")), min_size=3, max_size=3)


@examples(50)
@given(
    values=st.lists(numbers, min_size=1, max_size=8),
    names=st.lists(labels, min_size=3, max_size=3),
    suffix=st.sampled_from(MATRIX_SUFFIXES),
    n_bytes=st.integers(1, 200),
    n_cells=st.integers(1, 12),
)
def test_a_matrix_comes_back_to_the_bit(folder: Path, values, names, suffix, n_bytes, n_cells):
    path = folder / f"matrix{suffix}"
    columns = [f"{place}{name}" for place, name in enumerate(names)]
    if suffix == ".hdf5":
        columns = [name.encode("unicode_escape").decode() for name in columns]
    frame = pd.DataFrame(values, [f"guide {row}" for row in range(len(values))], columns)
    save(frame, path, index=True)
    file = open_table("logfc", str(path))
    with blocks_of(n_bytes, n_cells):
        (guides,), found, lines = file.read([0], [1, 2, 3])
    assert (file.columns, guides.tolist()) == (("", *columns), frame.index.tolist())
    assert lines.tolist() == list(range(2, len(values) + 2))
    np.testing.assert_array_equal(found, frame)


def test_only_a_few_blocks_are_read_ahead_of_those_that_are_parsed():
    source = iter([b"1"] * 700)
    blocks = parse_ahead(
        lambda lines: ParsedLines([], np.empty((1, 0)), np.zeros(1), 1, lines), source
    )
    for _ in range(3):
        next(blocks)
    blocks.close()
    assert len(list(source)) >= 700 - 3 - PARSERS


NUMBERS = ["1", "-1.5", "+2", ".5", "1e3", "1E-3", "  3 ", "inf", "-Infinity", "007"]


@examples(40)
@given(
    missing=st.lists(st.sampled_from(["", "NA", "NaN", "nan"]), min_size=1, max_size=6),
    number=st.sampled_from(NUMBERS),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    quoting=st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    n_bytes=st.integers(1, 60),
)
def test_numbers_may_be_written_in_every_usual_way(
    folder: Path, missing, number, line_end, mark, quoting, n_bytes
):
    text = io.StringIO()
    rows = [[f"guide, {row}", value, number] for row, value in enumerate(missing)]
    written = csv.writer(text, quoting=quoting, lineterminator=line_end)
    written.writerows([["", "a", "b,c"], *rows])
    path = folder / "written.csv"
    path.write_text(mark + text.getvalue(), encoding="utf-8", newline="")
    file = open_table("logfc", str(path))
    with blocks_of(n_bytes, 1):
        (guides,), found, lines = file.read([0], [1, 2])
    assert (file.columns, guides.tolist()) == (("", "a", "b,c"), [row[0] for row in rows])
    np.testing.assert_array_equal(found, [[np.nan, float(number)]] * len(rows))
    assert lines.tolist() == list(range(2, len(rows) + 2))


def read_or_refused(path: Path) -> bool:
    """Whether the file is a matrix; a refusal names it."""
    try:
        file = open_table("logfc", str(path))
        file.read([0], range(1, len(file.columns)))
    except TableFormatError as error:
        assert str(path) in str(error)
        return False
    return True


def damaged(content: bytes, source: random.Random) -> bytes:
    """Change, remove, insert or repeat some bytes, and sometimes cut off the rest."""
    data = bytearray(content)
    for _ in range(source.choice([1, 1, 1, 2, 4, 16])):
        place, length = source.randrange(len(data) + 1), source.choice([1, 1, 2, 4, 8, 64])
        old, new = bytes(data[place : place + length]), source.randbytes(length)
        token = source.choice([b'"', b",", b"\n", b"\r", b"nan", b"1e999", b"\0" * length])
        data[place : place + length] = source.choice([new, b"", new + old, old * 100, token + old])
    return bytes(data[: source.randrange(len(data))] if source.random() < 0.05 and data else data)


@pytest.mark.parametrize("suffix", MATRIX_SUFFIXES)
def test_a_damaged_matrix_is_read_or_refused(folder: Path, suffix: str):
    path, n_read = folder / f"damaged{suffix}", 0
    save(release(share_missing=0.1).logfc, path, index=True)
    sound = path.read_bytes()
    for seed in range(80 * TIMES):
        source = random.Random(seed)
        if suffix == ".csv.gz" and seed % 2:
            path.write_bytes(gzip.compress(damaged(gzip.decompress(sound), source)))
        else:
            path.write_bytes(damaged(sound, source))
        n_read += read_or_refused(path)
        with suppress(TableFormatError):  # another error would be a traceback
            read_small_table("guide_map", str(path))
    assert 0 < n_read < 80 * TIMES


def statistics_of(dataset: Dataset) -> SufficientStatistics:
    checked = validate(dataset, LOOSE)
    assert checked.report.passed, checked.report.errors
    assert checked.statistics is not None
    return checked.statistics


@examples(8)
@given(
    drawn=releases(),
    n_bytes=st.integers(1, 400),
    n_cells=st.integers(1, 30),
    order=st.integers(0, 2**32 - 1),
)
def test_format_order_and_blocks_change_no_statistic(
    tmp_path_factory: pytest.TempPathFactory, drawn: Release, n_bytes, n_cells, order
):
    expected = statistics_of(drawn.write(tmp_path_factory.mktemp("release")))
    plain = Release(drawn.logfc, drawn.guide_map, drawn.sequence_map, drawn.rna).shuffled(order)
    with blocks_of(n_bytes, n_cells):
        found = statistics_of(plain.write(tmp_path_factory.mktemp("release")))
    for name in ("count", "total", "sum_of_squares", "n_missing", "n_without_rna"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13, err_msg=name)
    pd.testing.assert_frame_equal(found.selection.rna, expected.selection.rna, check_names=False)
    assert list(found.guides) == list(expected.guides)

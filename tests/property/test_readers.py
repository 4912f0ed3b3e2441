"""What was written comes back: in every format and layout, in blocks of any size, in any order."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.preparation import PreparationError, SufficientStatistics, prepare
from schemas.dataset import Dataset
from schemas.layouts import recognise
from schemas.screen import RawTable, TableFormatError
from tasks import hdf5_tables, table_files
from tasks.read_logfc import WideLogfc
from tasks.read_tables import read_small_table
from tasks.table_files import open_table
from tasks.validate import validate
from tests.property.releases import (
    LIST_SUFFIXES,
    LOOSE,
    MATRIX_SUFFIXES,
    TIMES,
    Release,
    examples,
    release,
    releases,
    save,
)
from tests.property.spoiling import spoil


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


def statistics_of(dataset: Dataset) -> SufficientStatistics:
    checked = validate(dataset, LOOSE)
    assert checked.report.passed, checked.report.errors
    assert checked.statistics is not None
    return checked.statistics


def assert_same_statistics(a: SufficientStatistics, b: SufficientStatistics) -> None:
    assert list(a.guides) == list(b.guides)
    np.testing.assert_array_equal(a.guide_gene, b.guide_gene)
    np.testing.assert_array_equal(a.count, b.count)
    np.testing.assert_allclose(a.total, b.total, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(a.sum_of_squares, b.sum_of_squares, rtol=1e-13, atol=1e-13)
    assert (a.n_missing, a.n_without_rna) == (b.n_missing, b.n_without_rna)
    pd.testing.assert_frame_equal(a.selection.rna, b.selection.rna)


# ------------------------------------------------------------------------------------- one matrix

labels = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=6
).filter(lambda text: text == text.strip() and text not in ("NA", "NaN", "nan"))


@examples(60)
@given(
    values=st.lists(
        st.lists(st.floats(width=64) | st.just(float("nan")), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    ),
    columns=st.lists(
        labels.filter(lambda name: name not in ("index", "Gene")), min_size=3, max_size=3
    ),
    suffix=st.sampled_from(MATRIX_SUFFIXES),
    n_bytes=st.integers(1, 200),
    n_cells=st.integers(1, 12),
)
def test_a_matrix_comes_back_to_the_bit(
    folder: Path,
    values: list[list[float]],
    columns: list[str],
    suffix: str,
    n_bytes: int,
    n_cells: int,
):
    guides = [f"guide {number}" for number in range(len(values))]
    path = folder / f"matrix{suffix}"
    columns = [f"{place}{name}" for place, name in enumerate(columns)]
    frame = pd.DataFrame(values, guides, columns)
    if suffix == ".hdf5":
        frame = frame.set_axis([name.encode("unicode_escape").decode() for name in columns], axis=1)
    save(frame, path, index=True)
    file = open_table("logfc", str(path))
    layout = recognise("logfc", str(path), file.columns)
    with blocks_of(n_bytes, n_cells):
        blocks = list(WideLogfc(file, layout).blocks())
    assert file.columns == ("", *frame.columns)
    assert [guide for block in blocks for guide in block.guides] == guides
    lines = [block.first_line + row for block in blocks for row in range(len(block.guides))]
    assert lines == list(range(2, len(values) + 2))
    np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), frame)


@examples(60)
@given(
    missing=st.lists(st.sampled_from(["", "NA", "NaN", "nan"]), min_size=1, max_size=6),
    number=st.sampled_from(
        ["1", "-1.5", "+2", ".5", "1e3", "1E-3", "  3 ", "inf", "-Infinity", "007"]
    ),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    quoting=st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    n_bytes=st.integers(1, 60),
)
def test_every_way_of_writing_a_number_or_none(
    folder: Path,
    missing: list[str],
    number: str,
    line_end: str,
    mark: str,
    quoting: Literal[0, 1],
    n_bytes: int,
):
    text = io.StringIO()
    written = csv.writer(text, quoting=quoting, lineterminator=line_end)
    written.writerow(["", "a", "b,c"])
    for row, value in enumerate(missing):
        written.writerow([f"guide, {row}", value, number])
    path = folder / "written.csv"
    path.write_text(mark + text.getvalue(), encoding="utf-8", newline="")
    file = open_table("logfc", str(path))
    with blocks_of(n_bytes, 1):
        texts, numbers, lines = file.read([0], [1, 2])
    assert file.columns == ("", "a", "b,c")
    assert texts[0].tolist() == [f"guide, {row}" for row in range(len(missing))]
    assert np.isnan(numbers[:, 0]).all()
    np.testing.assert_array_equal(numbers[:, 1], float(number))
    assert lines.tolist() == list(range(2, len(missing) + 2))


@examples(60)
@given(
    rows=st.lists(st.tuples(labels, labels), min_size=1, max_size=6),
    suffix=st.sampled_from(LIST_SUFFIXES),
    with_breaks=st.booleans(),
)
@example(rows=[("a\nb", 'c,"d"')], suffix=".csv", with_breaks=True)
def test_text_of_any_kind_comes_back(
    folder: Path, rows: list[tuple[str, str]], suffix: str, with_breaks: bool
):
    frame = pd.DataFrame(rows, columns=["DepMap_ID", "lineage"])
    if with_breaks:
        frame["lineage"] = "a,\n" + frame["lineage"] + '\n"b"'
    path = folder / f"models{suffix}"
    save(frame, path, index=False)
    read = read_small_table("model_table", str(path))
    assert read.frame["cell_line"].tolist() == frame["DepMap_ID"].tolist()
    assert read.frame["lineage"].tolist() == frame["lineage"].tolist()


@examples(60)
@given(
    content=st.binary(max_size=80), suffix=st.sampled_from(MATRIX_SUFFIXES), zipped=st.booleans()
)
@example(content=b"PAR1PAR1", suffix=".parquet", zipped=False)
@example(content=b"\x89HDF\r\n\x1a\n", suffix=".hdf5", zipped=False)
@example(content=b',"a\n', suffix=".csv", zipped=False)
@example(content=b"\n\n", suffix=".csv", zipped=False)
@example(content=b",a\n\xff,1\n", suffix=".csv", zipped=True)
@example(content=b",a\nx,\x00\n", suffix=".csv", zipped=False)
@example(content=b'"a,b\rc', suffix=".csv", zipped=False)
def test_any_bytes_are_a_table_or_refused(folder: Path, content: bytes, suffix: str, zipped: bool):
    path = folder / f"bytes{suffix}"
    path.write_bytes(gzip.compress(content) if zipped else content)
    try:
        file = open_table("logfc", str(path))
        file.read([0], range(1, len(file.columns)))
    except TableFormatError as error:
        assert str(path) in str(error)
    try:
        read: RawTable = read_small_table("guide_map", str(path))
    except TableFormatError:
        return
    assert len(read.frame.columns)


@pytest.mark.parametrize("suffix", MATRIX_SUFFIXES)
def test_a_damaged_matrix_is_read_or_refused(folder: Path, suffix: str):
    path = folder / f"damaged{suffix}"
    save(release(share_missing=0.1).logfc, path, index=True)
    sound = path.read_bytes()
    n_refused = 0
    for seed in range(150 * TIMES):
        path.write_bytes(spoil(sound, random.Random(seed)))
        try:
            file = open_table("logfc", str(path))
            file.read([0], range(1, len(file.columns)))
        except TableFormatError as error:
            n_refused += 1
            assert str(path) in str(error)
    assert 0 < n_refused < 150 * TIMES


def test_a_parquet_file_with_a_name_that_is_no_text_is_damaged(folder: Path):
    path = folder / "named.parquet"
    save(pd.DataFrame({"ModelID": ["a"], "OncotreeLineage": ["b"]}), path, index=False)
    path.write_bytes(path.read_bytes().replace(b"OncotreeLineage", b"Oncotree\xb3ineage"))
    with pytest.raises(TableFormatError) as caught:
        read_small_table("model_table", str(path))
    assert caught.value.rule == "damaged_file"


# -------------------------------------------------------------------------------- whole releases


@examples(12)
@given(
    drawn=releases(),
    n_bytes=st.integers(1, 400),
    n_cells=st.integers(1, 30),
    order=st.integers(0, 2**32 - 1),
)
def test_format_order_and_blocks_change_no_statistic(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: Release,
    n_bytes: int,
    n_cells: int,
    order: int,
):
    folder = tmp_path_factory.mktemp("release")
    as_drawn = statistics_of(drawn.write(folder))
    plain = Release(drawn.logfc, drawn.guide_map, drawn.sequence_map, drawn.rna).shuffled(order)
    again = tmp_path_factory.mktemp("release")
    with blocks_of(n_bytes, n_cells):
        assert_same_statistics(as_drawn, statistics_of(plain.write(again)))


@examples(8)
@given(drawn=releases())
def test_a_long_table_says_what_the_wide_ones_say(
    tmp_path_factory: pytest.TempPathFactory, drawn: Release
):
    folder = tmp_path_factory.mktemp("long")
    wide = Release(drawn.logfc, drawn.guide_map, drawn.sequence_map, drawn.rna)
    expected = statistics_of(wide.write(folder))
    guides = drawn.guide_map[drawn.guide_map["UsedByChronos"]]
    sequences = drawn.sequence_map[
        drawn.sequence_map["PassesQC"] & drawn.sequence_map["ModelID"].notna()
    ]
    rows = (
        drawn.logfc.rename_axis("guide")
        .reset_index()
        .melt("guide", var_name="SequenceID", value_name="logfc")
    )
    rows = rows.merge(sequences, on="SequenceID").merge(guides, left_on="guide", right_on="sgRNA")
    rna = (
        drawn.rna.rename_axis("ModelID")
        .reset_index()
        .melt("ModelID", var_name="Gene", value_name="rna")
    )
    rows = rows.merge(rna, on=["ModelID", "Gene"]).rename(
        columns={"Gene": "gene", "ModelID": "cell_line", "SequenceID": "replicate"}
    )
    columns = ["gene", "cell_line", "guide", "replicate", "rna", "logfc"]
    save(rows[columns], folder / "long.csv", index=False)
    long = statistics_of(
        Dataset(name="small", release="1", library="Avana", logfc=str(folder / "long.csv"))
    )
    np.testing.assert_array_equal(long.count, expected.count)
    np.testing.assert_allclose(long.total, expected.total, atol=1e-12)
    np.testing.assert_allclose(long.sum_of_squares, expected.sum_of_squares, atol=1e-12)


@examples(12)
@given(drawn=releases())
def test_what_came_is_in_the_design_or_counted_as_lost(
    tmp_path_factory: pytest.TempPathFactory, drawn: Release
):
    dataset = drawn.write(tmp_path_factory.mktemp("release"))
    checked = validate(dataset, LOOSE)
    assert checked.screen is not None
    assert checked.statistics is not None
    try:
        design, report = prepare(checked.screen, checked.statistics, LOOSE, dataset.rna_units)
    except PreparationError:  # the missing values left parts that nothing links
        return
    came = {
        "guide": len(drawn.logfc),
        "sequence": len(drawn.logfc.columns),
        "gene": len(drawn.rna.columns),
        "cell line": len(drawn.rna),
        "measurement": drawn.logfc.size,
    }
    # What takes a whole guide or sequence out takes the crossing of both out once: the counts of
    # measurements are of the table less the columns lost, then less the rows.
    kept = {
        "guide": report.n_guides,
        "gene": report.n_genes,
        "cell line": report.n_cell_lines,
        "measurement": report.n_measurements,
    }
    for unit, n_kept in kept.items():
        lost = sum(loss.count for loss in report.losses if loss.unit == unit)
        assert n_kept + lost == came[unit], unit
    assert design.n_measurements == report.n_measurements


def test_the_sound_release_is_sound(tmp_path: Path):
    report = validate(release().write(tmp_path), LOOSE).report
    assert not report.errors

"""A part of a design is the design of its rows, and a design is stored without loss."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.screen.design import ScreenDesign, design_dataset, design_of
from tests.designs import design_from_rows, nested_rows

LINEAGE = ("skin", "", "lung", "skin")


def assert_equal_designs(found: ScreenDesign, expected: ScreenDesign) -> None:
    for field in dataclasses.fields(expected):
        ours, theirs = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(theirs, np.ndarray):
            np.testing.assert_allclose(ours, theirs, atol=1e-12, err_msg=field.name)
            assert ours.dtype == theirs.dtype, field.name
        elif isinstance(theirs, pd.DataFrame):
            pd.testing.assert_frame_equal(ours, theirs, rtol=1e-12)
        else:
            assert ours == theirs, field.name
    np.testing.assert_allclose(found.cells.mean, expected.cells.mean)


def rows_of(n_replicates: int = 2) -> pd.DataFrame:
    rows, _ = nested_rows(n_genes=5, n_lines=4, n_guides=3, n_replicates=n_replicates)
    # The second gene loses its first guide, and is not measured in the first line.
    in_line = (rows.gene == "g001") & (rows.cell_line == "c000")
    lost = in_line | (rows.guide == "g001/0")
    return rows[~lost].drop(index=[0, 1, 77]).reset_index(drop=True)


def test_a_part_of_the_genes_is_the_design_of_their_rows():
    rows = rows_of()
    whole = dataclasses.replace(design_from_rows(rows), lineage=LINEAGE)
    kept = rows[rows.gene.isin(["g001", "g004"])].reset_index(drop=True)
    expected = dataclasses.replace(design_from_rows(kept), lineage=LINEAGE)
    assert_equal_designs(whole.of_genes([4, 1]), expected)
    second = whole.of_genes([1])  # keeps the line it is not measured in
    assert second.cell_lines == whole.cell_lines
    assert second.gene_count.tolist() == [[0, 4, 4, 4]]
    assert dataclasses.replace(whole, measurements=None).of_genes([1]).measurements is None


def test_replicates_that_agree_leave_no_squares_below_zero():
    rows = rows_of().assign(logfc=0.1)
    design = design_from_rows(rows)
    assert 0 <= design.cells.within_ss < 1e-12
    assert (design.within_ss_by_line(by_guide=True) >= 0).all()


@pytest.mark.parametrize(("is_log2", "lineage"), [(True, None), (False, LINEAGE)])
def test_a_design_comes_back_from_its_dataset(tmp_path, is_log2, lineage):
    design = dataclasses.replace(
        design_from_rows(rows_of()),
        **dict.fromkeys(("lineage", "cell_line_name"), lineage),
        rna_is_log2=is_log2,
        measurements=None,
    )
    design_dataset(design).to_netcdf(tmp_path / "design.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "design.nc", engine="h5netcdf") as stored:
        assert lineage is None or stored["lineage"].dims == ("cell_line",)
        assert_equal_designs(design_of(stored), design)

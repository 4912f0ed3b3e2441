"""A part of a design is the design of the rows of those genes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tests.designs import design_from_rows, nested_rows, of_lines


def test_a_part_is_the_design_of_its_rows():
    rows, _ = nested_rows(n_genes=5, n_lines=4, n_guides=3, n_replicates=2)
    rows = rows.drop(index=[0, 1, 5, 40, 41, 77]).reset_index(drop=True)
    kept = rows[rows.gene.isin(["g001", "g004"])].reset_index(drop=True)
    whole = dataclasses.replace(design_from_rows(rows), lineage=("skin", "", "lung", "skin"))
    part = whole.of_genes([4, 1])
    expected = dataclasses.replace(design_from_rows(kept), lineage=whole.lineage)
    assert_equal(part, expected)


def test_a_part_of_the_lines_is_the_design_of_their_rows():
    rows, _ = nested_rows(n_genes=3, n_lines=4, n_guides=3, n_replicates=2)
    rows = rows.drop(index=[0, 1, 5, 40]).reset_index(drop=True)
    kept = rows[rows.cell_line.isin(["c001", "c003"])].reset_index(drop=True)
    whole = dataclasses.replace(design_from_rows(rows), lineage=("skin", "", "lung", "skin"))
    part = of_lines(whole, [3, 1])
    # RNA stays in the units of the whole, whose SD it is.
    expected = dataclasses.replace(
        design_from_rows(kept), lineage=("", "skin"), rna_sd=whole.rna_sd
    )
    assert_equal(part, expected)


@pytest.mark.parametrize("unit", ["guide", "gene"])
def test_squares_within_cells_are_summed_by_line(unit):
    rows, _ = nested_rows(n_genes=3, n_lines=4, n_guides=3, n_replicates=3)
    rows = rows.drop(index=[0, 1, 5, 40]).reset_index(drop=True)
    mean = rows.groupby([unit, "cell_line"])["logfc"].transform("mean")
    expected = ((rows.logfc - mean) ** 2).groupby(rows.cell_line).sum()
    found = design_from_rows(rows).within_ss_by_line(by_guide=unit == "guide")
    np.testing.assert_allclose(found, expected)


def assert_equal(part, expected):
    for field in dataclasses.fields(expected):
        ours, theirs = getattr(part, field.name), getattr(expected, field.name)
        if isinstance(theirs, np.ndarray):
            np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
        elif isinstance(theirs, pd.DataFrame):
            pd.testing.assert_frame_equal(ours, theirs)
        else:
            assert ours == theirs, field.name
    np.testing.assert_array_equal(part.cells.mean, expected.cells.mean)


def test_a_part_keeps_lines_it_was_not_measured_in():
    rows, _ = nested_rows(n_genes=2, n_lines=3, n_guides=2, n_replicates=1)
    rows = rows[(rows.gene == "g001") | (rows.cell_line != "c001")]
    part = design_from_rows(rows).of_genes([0])
    assert part.cell_lines == ("c000", "c001", "c002")
    assert part.gene_count[0].tolist() == [2, 0, 2]


def test_a_design_without_single_measurements_has_parts_without():
    rows, _ = nested_rows(n_genes=2, n_lines=2, n_guides=2, n_replicates=1)
    whole = dataclasses.replace(design_from_rows(rows), measurements=None)
    assert whole.of_genes([1]).measurements is None

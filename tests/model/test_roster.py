"""Every item that came is in the roster, those of the design without a reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.design_dataset import design_dataset, design_of
from model.preparation import prepare
from model.roster import Roster, roster_of
from schemas.parameters import FitParameters, Preparation
from tests.designs import design_from_rows, nested_rows
from tests.model.small_screens import LINES, collect, screen, table

PARAMETERS = FitParameters(preparation=Preparation(min_cell_lines_per_gene=2))


@pytest.fixture
def roster() -> Roster:
    """Of a screen in which one of everything is lost for a reason of its own."""
    of = screen()
    logfc = table(of)
    of.sequence_map.loc[of.sequence_map["sequence"] == f"{LINES[0]}_A", "passes_qc"] = False
    of.rna.iloc[:, 1] = 3.0  # gene B: its RNA does not vary
    logfc.loc["A1"] = np.nan
    statistics = collect(of, logfc, PARAMETERS)
    design, report = prepare(of, statistics, PARAMETERS, "log2_tpm")
    found = roster_of(of, statistics.selection, design, report)
    kept = found.guides.loc[found.guides["reason"] == "", "guide"]
    assert tuple(kept) == design.guides
    kept = found.cell_lines.loc[found.cell_lines["reason"] == "", "cell_line"]
    assert tuple(kept) == design.cell_lines
    kept = found.genes.loc[found.genes["reason"] == "", "gene"]
    assert tuple(kept) == design.genes
    return found


def test_what_is_left_out_has_its_reason(roster: Roster):
    sequences = roster.sequences.set_index("sequence")
    assert sequences.loc[f"{LINES[0]}_A", "reason"] == "failed quality control"
    assert not sequences.loc[f"{LINES[0]}_A", "passes_qc"]
    assert sequences.loc[f"{LINES[1]}_A", "reason"] == ""
    guides = roster.guides.set_index("guide")["reason"]
    assert guides["A1"] == "no measurement"
    assert guides["B0"] == "gene: RNA SD below 0.1"
    genes = roster.genes.set_index("gene")["reason"]
    assert [why for why in genes if why] == ["RNA SD below 0.1"]


def test_a_line_names_its_default_profile(roster: Roster):
    assert roster.cell_lines["profile"].notna().all()


def test_a_design_comes_back_from_its_dataset(tmp_path):
    rows, _ = nested_rows(n_genes=3, n_lines=4, n_guides=2, n_replicates=2)
    design = dataclasses.replace(design_from_rows(rows[3:]), lineage=("skin", "", "lung", "skin"))
    design_dataset(design).to_netcdf(tmp_path / "design.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "design.nc", engine="h5netcdf") as stored:
        again = design_of(stored)
    for field in dataclasses.fields(design):
        ours, theirs = getattr(again, field.name), getattr(design, field.name)
        if isinstance(theirs, np.ndarray):
            np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
            assert ours.dtype == theirs.dtype, field.name
        elif not isinstance(theirs, pd.DataFrame):
            assert ours == theirs, field.name

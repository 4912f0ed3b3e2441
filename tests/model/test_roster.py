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


def rows_of(of: pd.DataFrame) -> list[tuple[object, ...]]:
    """The heading and the rows; None where a value is missing."""
    values = of.astype(object).where(of.notna(), None)
    return [tuple(of.columns), *values.itertuples(index=False, name=None)]


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


def test_every_table_tells_all_that_came_and_why_it_is_not_fitted():
    """ACH-000004 is not measured; of a sequence or line on several rows the first counts."""
    of = screen()
    of.guide_map.loc[len(of.guide_map)] = ["D0", "DDD (4)", 1, True]
    of.guide_map.loc[len(of.guide_map)] = ["N0", None, 1, True]
    logfc = table(of)
    logfc[[f"{LINES[3]}_A", f"{LINES[3]}_B"]] = np.nan
    logfc.loc["A1"] = np.nan
    of.rna.iloc[:, 1] = 3.0  # BBB: its RNA does not vary
    sequences = of.sequence_map.assign(pdna_batch=[*"abcdefgh"])
    sequences.loc[1, "excluded"] = True
    sequences.loc[7, "passes_qc"] = False
    again = sequences.iloc[[0]].assign(pdna_batch="z", passes_qc=False)
    profiles = [(2, False), (0, True), (1, True), (2, True), (3, True)]
    of = dataclasses.replace(
        of,
        sequence_map=pd.concat([sequences, again], ignore_index=True),
        profiles=pd.DataFrame(
            [(f"PR-{row}", LINES[line], default) for row, (line, default) in enumerate(profiles)]
            + [("PR-5", "ACH-9", False)],
            columns=["profile", "cell_line", "is_default"],
        ),
        rna=of.rna.iloc[[*(line for line, _ in profiles), 0]].reset_index(drop=True),
        model_table=pd.DataFrame(
            {
                "cell_line": [LINES[1], LINES[0], LINES[1], LINES[3]],
                "lineage": ["Lung", "Skin", "Bowel", "Lung"],
            }
        ),
    )
    statistics = collect(of, logfc, PARAMETERS)
    design, report = prepare(of, statistics, PARAMETERS, "log2_tpm")
    found = roster_of(of, statistics.selection, design, report)
    assert rows_of(found.sequences) == [
        ("sequence", "cell_line", "pdna_batch", "passes_qc", "reason"),
        ("ACH-000001_A", "ACH-000001", "a", True, ""),
        ("ACH-000002_A", "ACH-000002", "b", True, "excluded by the release"),
        ("ACH-000003_A", "ACH-000003", "c", True, ""),
        ("ACH-000004_A", "ACH-000004", "d", True, "cell line: no measurement"),
        ("ACH-000001_B", "ACH-000001", "e", True, ""),
        ("ACH-000002_B", "ACH-000002", "f", True, ""),
        ("ACH-000003_B", "ACH-000003", "g", True, ""),
        ("ACH-000004_B", "ACH-000004", "h", False, "failed quality control"),
    ]
    assert rows_of(found.guides) == [
        ("guide", "gene", "reason"),
        ("A0", "AAA (1)", ""),
        ("A1", "AAA (1)", "no measurement"),
        ("B0", "BBB (2)", "gene: RNA SD below 0.1"),
        ("B1", "BBB (2)", "gene: RNA SD below 0.1"),
        ("C0", "CCC (3)", ""),
        ("C1", "CCC (3)", ""),
        ("D0", "DDD (4)", "gene: no RNA"),
        ("N0", None, "no gene"),
    ]
    assert rows_of(found.genes) == [
        ("gene", "reason"),
        ("AAA (1)", ""),
        ("BBB (2)", "RNA SD below 0.1"),
        ("CCC (3)", ""),
        ("DDD (4)", "no RNA"),
    ]
    assert rows_of(found.cell_lines) == [
        ("cell_line", "lineage", "profile", "reason"),
        ("ACH-000001", "Skin", "PR-1", ""),
        ("ACH-000002", "Lung", "PR-2", ""),
        ("ACH-000003", None, "PR-3", ""),
        ("ACH-000004", "Lung", "PR-4", "no measurement"),
        ("ACH-9", None, None, "no sequence"),
    ]


def test_without_a_model_table_no_line_has_a_lineage(roster: Roster):
    assert [*roster.cell_lines.columns] == ["cell_line", "lineage", "profile", "reason"]
    assert roster.cell_lines["lineage"].isna().all()


@pytest.mark.parametrize("is_log2", [True, False])
@pytest.mark.parametrize("lineage", [None, ("skin", "", "lung", "skin")])
def test_a_design_comes_back_from_its_dataset(tmp_path, is_log2, lineage):
    rows, _ = nested_rows(n_genes=3, n_lines=4, n_guides=2, n_replicates=2)
    design = dataclasses.replace(design_from_rows(rows[3:]), rna_is_log2=is_log2, lineage=lineage)
    dataset = design_dataset(design)
    if lineage is not None:
        assert dataset["lineage"].dims == ("cell_line",)
    dataset.to_netcdf(tmp_path / "design.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "design.nc", engine="h5netcdf") as stored:
        again = design_of(stored)
    assert again.measurements is None
    np.testing.assert_array_equal(again.cells.mean, design.cells.mean)
    for field in dataclasses.fields(design):
        ours, theirs = getattr(again, field.name), getattr(design, field.name)
        if isinstance(theirs, np.ndarray):
            np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
            assert ours.dtype == theirs.dtype, field.name
        elif not isinstance(theirs, pd.DataFrame):
            assert ours == theirs, field.name

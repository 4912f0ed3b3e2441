"""The roster lists every item of the tables, with the reason why it is not fitted."""

from dataclasses import replace

import numpy as np
import pandas as pd

from model.preparation import prepare
from model.roster import Roster, roster_of
from schemas.parameters import FitParameters, Preparation
from schemas.screen import Screen
from tests.model.small_screens import LINES, collect, screen, table

PARAMETERS = FitParameters(preparation=Preparation(min_cell_lines_per_gene=2))


def found_in(of: Screen, logfc: pd.DataFrame) -> Roster:
    statistics = collect(of, logfc, PARAMETERS)
    design, report = prepare(of, statistics, PARAMETERS, "log2_tpm")
    found = roster_of(of, statistics.selection, design, report)
    of_labels = [design.guides, design.cell_lines, design.genes]
    of_rows = [found.guides, found.cell_lines, found.genes]
    for labels, rows in zip(of_labels, of_rows, strict=True):
        assert tuple(rows.loc[rows["reason"] == "", rows.columns[0]]) == labels
    return found


def test_every_item_is_listed_with_its_reason():
    """ACH-000004 is not measured; of a sequence or line on several rows the first counts."""
    of = screen()
    of.guide_map.loc[len(of.guide_map)] = ["D0", "DDD (4)", 1, True]
    of.guide_map.loc[len(of.guide_map)] = ["N0", None, 1, True]
    logfc = table(of)
    logfc[[f"{LINES[3]}_A", f"{LINES[3]}_B"]] = np.nan
    logfc.loc["A1"] = np.nan
    of.rna.iloc[:, 1] = 3.0  # the RNA of BBB does not vary
    sequences = of.sequence_map.assign(pdna_batch=[*"abcdefgh"])
    sequences.loc[1, "excluded"] = True
    sequences.loc[7, "passes_qc"] = False
    again = sequences.iloc[[0]].assign(pdna_batch="z", passes_qc=False)
    profiles = [(2, False), (0, True), (1, True), (2, True), (3, True)]
    lineages = {LINES[1]: "Lung", LINES[0]: "Skin", LINES[3]: "Lung"}
    models = pd.DataFrame([*lineages.items(), (LINES[1], "Bowel")])
    of = replace(
        of,
        sequence_map=pd.concat([sequences, again], ignore_index=True),
        profiles=pd.DataFrame(
            [(f"PR-{row}", LINES[line], default) for row, (line, default) in enumerate(profiles)]
            + [("PR-5", "ACH-9", False)],
            columns=["profile", "cell_line", "is_default"],
        ),
        rna=of.rna.iloc[[*(line for line, _ in profiles), 0]].reset_index(drop=True),
        model_table=models.set_axis(["cell_line", "lineage"], axis=1),
    )
    found = found_in(of, logfc)
    reasons = [
        dict(zip(table.iloc[:, 0], table["reason"], strict=True))
        for table in (found.sequences, found.guides, found.genes)
    ]
    no_rna, constant = "gene: no RNA", "RNA SD below 0.1"
    assert reasons == [
        dict.fromkeys(sequences["sequence"], "")
        | {f"{LINES[1]}_A": "excluded by the release", f"{LINES[3]}_B": "failed quality control"}
        | {f"{LINES[3]}_A": "cell line: no measurement"},
        {"A0": "", "A1": "no measurement", "C0": "", "C1": "", "D0": no_rna, "N0": "no gene"}
        | dict.fromkeys(["B0", "B1"], f"gene: {constant}"),
        {"AAA (1)": "", "BBB (2)": constant, "CCC (3)": "", "DDD (4)": "no RNA"},
    ]
    columns = ["sequence", "cell_line", "pdna_batch", "passes_qc"]
    pd.testing.assert_frame_equal(found.sequences[columns], sequences[columns], check_dtype=False)
    assert found.guides.query("guide in ['A0', 'D0']")["gene"].tolist() == ["AAA (1)", "DDD (4)"]
    assert found.cell_lines.fillna("-").to_numpy().tolist() == [
        ["ACH-000001", "Skin", "PR-1", ""],
        ["ACH-000002", "Lung", "PR-2", ""],
        ["ACH-000003", "-", "PR-3", ""],
        ["ACH-000004", "Lung", "PR-4", "no measurement"],
        ["ACH-9", "-", "-", "no sequence"],
    ]
    of = screen()  # has no model table
    assert found_in(of, table(of)).cell_lines["lineage"].isna().all()

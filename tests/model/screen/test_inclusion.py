"""The inclusion table lists every item of the tables, with the reason why it is not fitted."""

import re
from dataclasses import replace

import pandas as pd

from model.screen.inclusion import inclusion_table
from model.screen.preparation import prepare
from schemas.parameters import FitParameters
from schemas.tables.containers import CovariateTable
from tests.model.screen.test_preparation import EXPECTED_LOSSES, LIMITS, messy_screen
from tests.model.small_screens import collect

PARAMETERS = FitParameters(preparation=LIMITS)


def test_every_item_is_listed_with_its_reason():
    """Of a sequence or line on several rows the first counts, of a guide the usable one."""
    of, logfc = messy_screen()
    sequences = of.sequence_map.assign(pdna_batch=[*"abcdefghijklm"])
    again = sequences[sequences["sequence"] == "1A"].assign(pdna_batch="z", passes_qc=False)
    one, two = "ACH-000001", "ACH-000002"
    lineages = pd.DataFrame({"cell_line": [two, one, two], "lineage": ["Lung", "Skin", "Bowel"]})
    lineages["cell_line_name"] = ["A375", None, "A"]
    copies = {"profile": ["CN-1", "CN-2"], "cell_line": [one, two], "is_default": [True, False]}
    of_a = pd.DataFrame({"AAA (1)": [1.0, 1.0]})
    of = replace(
        of,
        guide_map=pd.concat([of.guide_map[:1].assign(n_alignments=2), of.guide_map]),
        sequence_map=pd.concat([sequences, again], ignore_index=True),
        covariates={"copy_number": CovariateTable(pd.DataFrame(copies), of_a)},
        model_table=lineages,
    )
    statistics = collect(of, logfc, PARAMETERS)
    design, report = prepare(of, statistics, PARAMETERS, "log2_tpm")
    found = inclusion_table(of, statistics.selection, design, report)
    for unit, rows, fitted in (
        ("sequence", found.sequences, ("1A", "1B", "2A", "2B", "3A")),
        ("guide", found.guides, design.guides),
        ("gene", found.genes, design.genes),
        ("cell line", found.cell_lines, design.cell_lines),
    ):
        lost = (text.split(" = ") for text in EXPECTED_LOSSES[unit].split("; "))
        reasons = dict.fromkeys(fitted, "")
        reasons |= {item: why for why, own in lost for item in re.findall(r"\S+(?: \(\d\))?", own)}
        reasons.pop("X0", None)  # it is in the logFC table only
        assert dict(zip(rows.iloc[:, 0], rows["reason"], strict=True)) == reasons
    columns = ["sequence", "cell_line", "pdna_batch", "passes_qc"]
    listed = found.sequences[found.sequences["sequence"] != "unknown"][columns]
    pd.testing.assert_frame_equal(listed, sequences[columns], check_dtype=False)
    assert found.guides.query("guide in ['A0', 'D0']")["gene"].tolist() == ["AAA (1)", "DDD (4)"]
    assert found.genes.loc[found.genes["copy_number"], "gene"].tolist() == ["AAA (1)"]
    assert found.cell_lines.iloc[:3, :5].fillna("-").to_numpy().tolist() == [
        [one, "-", "Skin", "q", "CN-1"],
        [two, "A375", "Lung", "r", "-"],
        ["ACH-000003", "-", "-", "s", "-"],
    ]
    assert found.label_lines([two, one, "X"]) == [f"{two} (A375)", one, "X"]

"""Filters and the small tables decide which genes, lines, guides and sequences may be fitted."""

from dataclasses import replace

import pandas as pd
import pytest

from model.screen.preparation import PreparationError
from schemas.parameters import Filters
from tests.model.small_screens import GENES, LINES, LOOSE, prepared, screen

LINEAGES = ["Skin", "Skin", "Skin", "Lung"]
MODELS = pd.DataFrame({"cell_line": LINES, "lineage": LINEAGES, "cell_line_name": None})
OF_LINEAGES = replace(screen(), model_table=MODELS)


@pytest.mark.parametrize("name", ["BBB (2)", "BBB", "2"])
def test_a_gene_is_named_by_label_symbol_or_number(name: str):
    design, losses = prepared(screen(), filters=Filters(genes=(name,)))
    assert design.genes == ("BBB (2)",)
    assert losses["gene", "not selected"].examples == (GENES[0], GENES[2])
    assert losses["measurement", "gene: not selected"].count == 32


@pytest.mark.parametrize(
    ("filters", "lost"),
    [
        (
            Filters(cell_lines=tuple(LINES[1:]), lineages=("Skin",)),
            {"not selected": LINES[0], "lineage not selected": LINES[3]},
        ),
        (
            Filters(cell_lines=tuple(LINES[:3]), without_cell_lines=(LINES[1], LINES[3])),
            {"not selected": LINES[3], "left out": LINES[1]},
        ),
    ],
)
def test_lines_are_filtered_by_name_and_lineage(filters: Filters, lost: dict[str, str]):
    design, losses = prepared(OF_LINEAGES, filters=filters)
    assert design.cell_lines == tuple(line for line in LINES if line not in lost.values())
    found = {reason: loss.examples for (unit, reason), loss in losses.items() if unit[0] == "c"}
    assert found == {reason: (line,) for reason, line in lost.items()}


def test_unknown_names_of_all_filters_are_refused_with_near_matches():
    unknown = tuple(f"x{n}" for n in range(11))
    filters = Filters(
        genes=("aab", "CCC", "zzz"),
        cell_lines=("ACH-00001", *unknown),
        without_cell_lines=unknown[:10],
        lineages=("Skni",),
    )
    with pytest.raises(PreparationError) as caught:
        prepared(OF_LINEAGES, filters=filters)
    genes, lines, without, lineages = str(caught.value).splitlines()
    assert "got aab (near: AAA), zzz (near: nothing); correct the filter" in genes
    assert lines.startswith("cell_lines: ") and lines.count("ACH-00000") == 3  # of four as near
    assert lines.endswith("x8 (near: nothing) and 2 more; correct the filter")
    assert without.startswith("without_cell_lines: ") and "nothing) and" not in without
    assert "got Skni (near: Skin)" in lineages
    with pytest.raises(PreparationError, match=r"lineages: .*`model_table:`"):
        prepared(screen(), filters=Filters(lineages=("Skin",)))


def test_a_screen_with_nothing_to_fit_is_refused_with_the_reasons():
    failed = replace(screen(), sequence_map=screen().sequence_map.assign(passes_qc=False))
    lines = r"cell line to fit, all 4 are excluded \(3 no usable sequence, 1 not selected\); widen"
    with pytest.raises(PreparationError, match=lines):
        prepared(failed, filters=Filters(cell_lines=tuple(LINES[1:])))
    genes = r"one gene to fit, all 3 are excluded \(3 RNA SD below 0.5\)"
    with pytest.raises(PreparationError, match=genes):
        prepared(
            replace(screen(), rna=screen().rna / 1000),
            preparation=LOOSE.model_copy(update={"min_rna_sd": 0.5}),
        )

"""What part of a screen is fitted: genes, cell lines, lineages that are asked for."""

from __future__ import annotations

import difflib
from dataclasses import replace

import pandas as pd
import pytest

from model.preparation import PreparationError
from schemas.parameters import Filters
from tests.model.small_screens import (
    GENES,
    LINES,
    LOOSE,
    prepared,
    screen,
)


@pytest.mark.parametrize("name", ["BBB (2)", "BBB", "2"])
def test_a_gene_is_asked_for_by_label_symbol_or_number(name: str):
    design, losses = prepared(screen(), filters=Filters(genes=(name,)))
    assert design.genes == ("BBB (2)",)
    assert losses["gene", "not asked for"].examples == (GENES[0], GENES[2])
    assert losses["measurement", "gene: not asked for"].count == 32


def test_lines_are_asked_for_by_name_and_by_lineage():
    models = pd.DataFrame({"cell_line": LINES, "lineage": ["Skin", "Skin", "Skin", "Lung"]})
    of = replace(screen(), model_table=models)
    filters = Filters(cell_lines=tuple(LINES[1:]), lineages=("Skin",))
    design, losses = prepared(of, filters=filters)
    assert design.cell_lines == (LINES[1], LINES[2])
    assert losses["cell line", "not asked for"].examples == (LINES[0],)
    assert losses["cell line", "lineage not asked for"].examples == (LINES[3],)


def test_lines_are_left_out_by_name():
    design, losses = prepared(screen(), filters=Filters(without_cell_lines=(LINES[1],)))
    assert design.cell_lines == (LINES[0], *LINES[2:])
    assert losses["cell line", "left out"].examples == (LINES[1],)
    of_three = Filters(cell_lines=tuple(LINES[:3]), without_cell_lines=(LINES[1], LINES[3]))
    assert prepared(screen(), filters=of_three)[0].cell_lines == (LINES[0], LINES[2])


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters(genes=("BBC", "AAA")), "genes: expected names in the tables, got BBC (near: BBB"),
        (Filters(genes=("bbb",)), "got bbb (near: BBB"),
        (Filters(genes=("zzz",)), "got zzz (near: nothing)"),
        (Filters(cell_lines=("ACH-000008",)), "cell_lines: expected names in the tables"),
        (Filters(without_cell_lines=("x",)), "without_cell_lines: expected names in the tables"),
        (
            Filters(lineages=("Skni",)),
            "lineages: expected names in the tables, got Skni (near: Skin)",
        ),
    ],
)
def test_an_unknown_name_is_an_error_with_near_matches(filters: Filters, words: str):
    models = pd.DataFrame({"cell_line": LINES, "lineage": "Skin"})
    with pytest.raises(PreparationError) as caught:
        prepared(replace(screen(), model_table=models), filters=filters)
    assert words in str(caught.value)
    assert "AAA (near" not in str(caught.value)


def test_unknown_names_of_all_filters_are_told_at_once():
    with pytest.raises(PreparationError, match=r"genes: (.|\n)*cell_lines: "):
        prepared(screen(), filters=Filters(genes=("X",), cell_lines=("Y",)))


def test_of_near_matches_three_are_named_and_of_unknown_names_ten():
    asked = ("ACH-00001", *(f"x{n}" for n in range(11)))
    with pytest.raises(PreparationError) as caught:
        prepared(screen(), filters=Filters(genes=("AAB",), cell_lines=asked))
    near_lines = ", ".join(difflib.get_close_matches("ach-00001", map(str.casefold, LINES), n=3))
    others = ", ".join(f"x{n} (near: nothing)" for n in range(9))
    assert str(caught.value) == (
        "genes: expected names in the tables, got AAB (near: AAA); correct the filter\n"
        "cell_lines: expected names in the tables, got ACH-00001 (near: "
        f"{near_lines.upper()}), {others} and 2 more; correct the filter"
    )
    with pytest.raises(PreparationError, match=r"x9 \(near: nothing\); correct the filter"):
        prepared(screen(), filters=Filters(cell_lines=tuple(f"x{n}" for n in range(10))))


def test_lineages_need_a_model_table():
    with pytest.raises(PreparationError) as caught:
        prepared(screen(), filters=Filters(lineages=("Skin",)))
    assert str(caught.value) == (
        "lineages: expected a model table, the dataset has none; put Model.csv into its folder, "
        "or add `model_table:` to it"
    )


def test_nothing_left_is_an_error_with_the_reasons():
    of = screen()
    failed = of.sequence_map.assign(passes_qc=False)
    with pytest.raises(
        PreparationError, match=r"one cell line to fit, all 4 are lost \(4 no usable"
    ):
        prepared(replace(of, sequence_map=failed))
    with pytest.raises(PreparationError) as caught:
        prepared(replace(of, sequence_map=failed), filters=Filters(cell_lines=tuple(LINES[1:])))
    assert str(caught.value) == (
        "expected at least one cell line to fit, all 4 are lost (3 no usable sequence, 1 not asked "
        "for); widen the filters, or check that the tables belong together"
    )
    with pytest.raises(PreparationError, match=r"one gene to fit, all 3 are lost \(3 no RNA\)"):
        prepared(replace(of, profiles=of.profiles.assign(is_default=False), rna=of.rna[[]]))
    with pytest.raises(PreparationError, match=r"one gene to fit, all 3 are .*3 RNA SD below 1000"):
        prepared(of, preparation=LOOSE.model_copy(update={"min_rna_sd": 1000}))

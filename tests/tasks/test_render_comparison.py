"""What a comparison is called, and what its page says, in words and tables."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from model.compare import ComparedFit, compare_fits
from schemas.columns import COMPARED_LINES
from schemas.comparison import BatchShift, Comparison, DataChanges, ItemChange, Step
from tasks.render_comparison import comparison_markdown
from tasks.track_comparison import ComparedFits, comparison_name
from tests.model.test_compare import SETTINGS, effects, fit

A = effects(OLD_1=(-1, 0.1, 0.001), GONE_2=(0, 0.1, 0.5))
B = effects(NEW_1=(-0.2, 0.1, 0.3), CAME_3=(0, 0.1, 0.5))
NOTHING = DataChanges(
    n_cell_lines_joined=20,
    **dict.fromkeys(set(DataChanges.model_fields) - {"n_cell_lines_joined"}, ()),
)


def of(one: ComparedFit, **changes: str) -> ComparedFit:
    return replace(one, summary=one.summary.model_copy(update=changes))


def compared(a: ComparedFit, b: ComparedFit) -> tuple[Comparison, pd.DataFrame]:
    return compare_fits("avana", a, b, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "seed", "name"),
    [
        ({"release": "24Q4"}, "1", "24Q2 -> 24Q4 m4"),
        ({"release": "24Q2", "model": "m4_nested"}, "1", "24Q2 m4 -> m4_nested"),
        ({"release": "24Q2"}, "2", "24Q2 m4: seed"),
        ({"release": "24Q2"}, "1", "24Q2 m4: settings the same"),
    ],
)
def test_it_is_called_by_what_differs(changes, seed, name):
    a, b = of(fit("A", A), release="24Q2"), of(fit("B", A, seed), **changes)
    assert comparison_name(compared(a, b)[0]) == name


def test_the_page_names_what_came_and_went():
    page = comparison_markdown(*compared(fit("A", A), fit("B", B, "2")))
    for expected in (
        "Genes only in A: 1: GONE (2).",
        "Genes only in B: 1: CAME (3).",
        "Genes renamed: 1: OLD (1) -> NEW (1).",
        "Hits lost: 1: OLD (1).",
        "| seed | 1 | 2 |",
        "| sigma | 1.000 (0.100) | 1.000 (0.100) |",
        "- A: run A",
        "| gene | A | B | B-A | z | sign | moved | hit |",
        "| NEW (1) | -1.000 | -0.200 | 0.800 |",
        "z: B-A in combined posterior SDs.",
    ):
        assert expected in page


def test_the_page_says_what_differs_in_the_data_and_what_it_is_due_to():
    comparison, genes = compared(fit("A", A), fit("B", B))
    line = ItemChange(item="ACH-000001", a="fitted", b="no sequence")
    replicate = ItemChange(
        item="X_A", cell_line="ACH-000002", a="fitted", b="failed quality control"
    )
    data = NOTHING.model_copy(
        update={
            "cell_lines_lost": (line,),
            "sequences_lost": (replicate,),
            "values_changed": ("ACH-000003",),
            "batches": (
                BatchShift(pdna_batch="two", n_cell_lines=1, shift=0.25, spread=0.01),
                BatchShift(pdna_batch="one", n_cell_lines=1, shift=0.001, spread=0.01),
            ),
        }
    )
    step = Step(name="values", mean_abs_difference=0.4, n_genes_moved=1, largest=("NEW (1)",))
    told = comparison.model_copy(update={"data": data, "steps": (step,)})
    page = comparison_markdown(told, genes.assign(due_to_values=0.8))
    for expected in (
        "20 cell lines in both.",
        "Cell lines only in A: 1: ACH-000001 (no sequence).",
        "Sequences of lines of both only in A: 1: X_A (failed quality control).",
        "other log fold changes in cell lines 1: ACH-000003.",
        "pDNA batch two: moved by +0.250 (log2)",
        "| new log fold changes of the same replicates | 0.400 | 1 | NEW (1) |",
        "due to values |",
    ):
        assert expected in page
    assert "batch one" not in page  # moved by next to nothing
    assert "is the same" not in page


def test_why_a_difference_is_not_split_is_said():
    comparison, genes = compared(fit("A", A), fit("B", B))
    told = comparison.model_copy(update={"not_attributed": "the fits share 2 cell lines"})
    assert "Not told apart: the fits share 2 cell lines." in comparison_markdown(told, genes)


def test_identical_fits_need_no_tables():
    a = of(fit("A", A), posterior_digest="1f")
    comparison, genes = compared(a, of(fit("B", A), posterior_digest="1f"))
    page = comparison_markdown(comparison.model_copy(update={"data": NOTHING}), genes)
    assert "Every draw of every parameter is identical" in page
    assert "Largest differences" not in page


def test_the_tables_come_back_as_they_were(tmp_path):
    comparison, genes = compared(fit("A", A), fit("B", A.assign(beta_mean=[-0.5, 0.1])))
    found = ComparedFits(comparison, genes, pd.DataFrame(columns=list(COMPARED_LINES)))
    for name, content in found.tables().items():
        (tmp_path / name).write_bytes(content)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "comparison.parquet"), genes)
    assert list(pd.read_csv(tmp_path / "cell_lines.csv")) == list(COMPARED_LINES)
    text = (tmp_path / "comparison.json").read_text()
    assert Comparison.model_validate_json(text) == comparison

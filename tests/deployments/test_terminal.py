"""What stands at the end of a fit on a terminal."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from rich.text import Text

from deployments.command_line import _told_kindly
from deployments.exit_codes import TROUBLE
from deployments.terminal import gene_table, verdict_lines
from schemas.reports import Verdict
from tests.tasks.fits import convergence_of


def test_the_verdict_says_how_it_was_computed_before_it_gives_its_reasons():
    verdict = Verdict(status="review", reasons=("[3] draws diverged",), notes=("Guides differ.",))
    lines = [Text.from_markup(line).plain for line in verdict_lines(verdict, convergence_of())]
    assert lines[0] == "Verdict: review"
    assert lines[1].strip().startswith("nuts: largest R-hat 1.004")
    assert lines[2:] == ["  because [3] draws diverged", "  note Guides differ."]


def test_memory_that_ran_out_is_told_with_the_mend():
    console = Console(file=io.StringIO(), width=500)
    with _told_kindly(console) as codes:
        np.empty(1 << 60, dtype=np.uint8)  # more than any machine has
    said = console.file.getvalue()
    assert codes[-1] == TROUBLE
    assert "there was not enough" in said and "--draws" in said and "Traceback" not in said


@pytest.mark.parametrize(("width", "name"), [(80, "SMARCA4"), (100, "SMARCA4 (6597)")])
def test_the_table_of_genes_shows_whole_what_an_effect_rests_on(width, name):
    effects = pd.DataFrame(
        {
            "gene": ["SMARCA4 (6597)", "MYB (4602)"],
            "call": ["negative", "none"],
            "most_influential_line": "ACH-000007",
            "carried_by_one_line": [True, False],
            **dict.fromkeys(("beta_mean", "beta_hdi_low", "beta_hdi_high"), -0.125),
            **dict.fromkeys(("beta_sd", "lfsr"), 0.03125),
        }
    )
    console = Console(file=io.StringIO(), width=width)
    console.print(gene_table(effects, n_draws=16_000))
    shown = console.file.getvalue()
    (row,) = [line for line in shown.splitlines() if "SMARCA4" in line]
    assert [cell.strip() for cell in row.split("│")] == [
        *(name, "negative", "ACH-000007", "-0.125", "0.031", "-0.125", "-0.125", "0.03125")
    ]
    assert "(6597)" in shown and "…" not in shown
    assert shown.count("ACH-000007") == 1
